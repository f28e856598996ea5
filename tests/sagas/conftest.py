"""A worker in this process for the tests of each file, on a ledger and a bank of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection, conninfo, sql
from temporalio.client import Client

from activities import errors, step, transfers
from activities.adapters import mock
from activities.adapters.mock import Fault, FaultName, MockBank, create_mock_bank
from activities.agents import SetPolicy, policy_set
from activities.authorizations import key_of
from ledger.aggregates.agent import AgentRegistered, agent_name
from ledger.aggregates.policy import policy_name
from ledger.database import Database, open_database
from ledger.store.commit import Author, Decision, Ref, commit
from tests.conftest import CloneDatabase
from tests.infrastructure.driver import Target, role
from tests.sagas.cancellation import Stops
from tests.sagas.sweeping import Sweeper
from tests.support.activity_gates import Gates, standstill
from tests.support.closing import until_the_core_has_left
from tests.support.driver import Driver, Handle, Json, new_id, payment, policy, saga_of
from tests.support.probe import Probe
from tests.support.tcp_gate import Gate, tcp_gate
from tests.support.until import until
from tests.support.worker_process import WorkerProcess, free_address, worker_process
from worker.embedded.servers import EmbeddedServers
from worker.process import migrate, work
from worker.settings import Settings, needed
from worker.wiring import wire
from workflows.contract.admission import DATA_CONVERTER
from workflows.contract.policy import PolicyRequest

TEMPLATE = "sagas_template"
QUEUE, GATED = "sagas-payments", "sagas-gated"
INFRASTRUCTURE_QUEUE, SWEEP_QUEUE = f"{QUEUE}-changes", f"{QUEUE}-sweep"

NewAgent = Callable[..., Awaitable[str]]
Inject = Callable[..., Awaitable[None]]
Landed = Callable[..., Awaitable[Handle]]
Stuck = Callable[..., Awaitable[Json]]
NewWorker = Callable[..., AbstractAsyncContextManager[WorkerProcess]]


@dataclass(frozen=True)
class Place:
    """How a worker and its tests find a ledger and a bank; the way to the bank has a gate."""

    settings: Settings
    bank_gate: Gate
    bank_url: str
    audit_url: str
    superuser_url: str


@pytest.fixture(scope="session")
async def template(servers: EmbeddedServers) -> str:
    """A migrated ledger in which nothing happened, to clone."""
    await create_database(servers, TEMPLATE, "amends_owner")
    url = servers.ledger_url("amends_owner", TEMPLATE)
    await migrate(Settings(migration_url=url))
    return TEMPLATE


async def create_database(servers: EmbeddedServers, name: str, owner: str) -> None:
    async with await AsyncConnection.connect(servers.main.url(), autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} OWNER {}")
        await connection.execute(create.format(sql.Identifier(name), sql.Identifier(owner)))


@pytest.fixture(scope="module")
async def place(
    servers: EmbeddedServers,
    template: str,
    clone_database: CloneDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Place]:
    """An empty ledger and a bank without transfers, for the tests of one file."""
    ledger = await clone_database(template)
    bank = f"{ledger}_bank"
    await create_database(servers, bank, "mock_bank")
    bank_url = servers.mock_bank_url(bank)
    await create_mock_bank(bank_url)
    async with tcp_gate(bank_url) as gate:
        settings = Settings(
            database_url=servers.ledger_url("amends_worker", ledger),
            mock_bank_url=gate.url,
            environment="development",
            payments_queue=QUEUE,
            infrastructure_queue=INFRASTRUCTURE_QUEUE,
            sweep_queue=SWEEP_QUEUE,
            sweep_grace="PT0S",
            statements=str(tmp_path_factory.mktemp("statements")),
        )
        audit_url = servers.ledger_url("amends_auditor", ledger)
        superuser_url = conninfo.make_conninfo(servers.main.url(), dbname=ledger)
        yield Place(settings, gate, bank_url, audit_url, superuser_url)


@pytest.fixture(scope="session")
async def client(servers: EmbeddedServers) -> AsyncIterator[Client]:
    yield await Client.connect(
        servers.temporal.address, data_converter=DATA_CONVERTER, identity="amends-tests"
    )
    await until_the_core_has_left()


@pytest.fixture(scope="module")
def quick_bank() -> Iterator[None]:
    """A bank that is not there is known to be away after two seconds instead of five."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mock, "ANSWER_WITHIN_S", 2)
        yield


@pytest.fixture(scope="module")
async def working(place: Place, client: Client, quick_bank: None) -> AsyncIterator[None]:
    """The worker, wired as it is in production, in this process."""
    async with working_for(client, place, QUEUE):
        yield


@pytest.fixture(scope="module")
def probe(place: Place) -> Probe:
    return Probe(place.audit_url, place.bank_url, place.superuser_url)


@pytest.fixture
async def driver(client: Client, probe: Probe, working: None) -> AsyncIterator[Driver]:
    """A client; whatever the test did with it, ledger and bank agree afterwards."""
    yield Driver(client, QUEUE)
    await probe.check()


@pytest.fixture(scope="module")
async def ledger(place: Place) -> AsyncIterator[Database]:
    """The worker's connections to the ledger, for what a test writes itself."""
    async with open_database(needed(place.settings.database_url, "the ledger"), size=2) as opened:
        yield opened


@pytest.fixture
def new_agent(driver: Driver, ledger: Database) -> NewAgent:
    """`await new_agent()` gives an agent with the policy of the requirements, or with `limits`.

    Written as the sagas write it, without a saga: those have tests of their own.
    """

    async def register(**limits: Any) -> str:
        agent = new_id("bot")
        registered = AgentRegistered(agent_id=agent, user="user:u-17")
        asked = PolicyRequest.model_validate(policy(agent, **limits))
        fields = asked.model_dump(include=set(SetPolicy.model_fields) - {"terms"})
        first = policy_set(SetPolicy(terms=asked.terms(), **fields), None, datetime.now(UTC))
        events = [(agent_name(agent), registered), (policy_name(agent), first)]
        await commit(
            ledger,
            Author("user:u-17"),
            [Ref(aggregate) for aggregate, _ in events],
            lambda _: Decision(None, events),
        )
        return agent

    return register


@pytest.fixture
async def agent(new_agent: NewAgent) -> str:
    """An agent with the policy of the requirements that has spent nothing."""
    return await new_agent()


@pytest.fixture(scope="module")
async def bank(place: Place) -> AsyncIterator[MockBank]:
    """The bank's own counter, past the gate: for its faults."""
    async with MockBank(place.bank_url) as bank:
        yield bank


@pytest.fixture
async def inject(bank: MockBank) -> Inject:
    """`await inject(request, "timeout_after", delay_ms=500)` scripts a fault for its transfer, the
    first one or that of a capture of another `number`."""

    async def script(request: Json, fault: FaultName, number: int = 1, **more: Any) -> None:
        await bank.inject(Fault(key_of(saga_of(request), number), fault, **more))

    return script


@pytest.fixture
def landed(driver: Driver, probe: Probe, inject: Inject) -> Landed:
    """`await landed(request, "slow_after", delay_ms=500)`: a payment runs, the bank has done the
    work, and has not said so."""

    async def run(request: Json, fault: FaultName, **more: Any) -> Handle:
        await inject(request, fault, **more)
        handle = await driver.start(request)
        await probe.until_booked(request)
        return handle

    return run


@pytest.fixture
def sweeper(driver: Driver, probe: Probe) -> Sweeper:
    return Sweeper(driver.client, SWEEP_QUEUE, probe)


@pytest.fixture(scope="module")
def target(servers: EmbeddedServers) -> Target:
    """The server on which changes make their roles."""
    assert servers.target is not None
    return Target(servers.target.url())


@pytest.fixture
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts at outside calls show that they live, and hear of a cancel, twice a second."""
    quick = timedelta(seconds=1.5)
    monkeypatch.setattr(errors, "HEARTBEAT", quick)
    monkeypatch.setattr(step, "HEARTBEAT", quick)


@pytest.fixture
def soon_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is asked after a blink, or after two tries to undo."""
    monkeypatch.setattr(transfers, "TELL_WITHIN", timedelta(seconds=0.2))
    monkeypatch.setattr(transfers, "UNDO_TRIES", 2)


@pytest.fixture
def nobody_can_tell(driver: Driver, agent: str, inject: Inject, soon_asked: None) -> Stuck:
    """`await nobody_can_tell("timeout_after")`: a payment of which the bank can't say whether it
    landed, and which waits for a person."""

    async def stuck(fault: str) -> Json:
        request = payment(agent, 45_000)
        await inject(request, fault)
        await inject(request, "timeout_before", operation="find", remaining=1_000)
        await driver.start(request)
        await until(lambda: driver.is_in(request, "needs_attention"))
        return request

    return stuck


@pytest.fixture
def can_not_be_undone(
    driver: Driver, agent: str, inject: Inject, landed: Landed, soon_asked: None
) -> Stuck:
    """`await can_not_be_undone()`: a payment that was cancelled after the money moved, whose bank
    never answers the reversal, and which waits for a person."""

    async def stuck() -> Json:
        request = payment(agent, 45_000)
        await inject(request, "timeout_before", operation="reverse", remaining=1_000)
        await (await landed(request, "slow_after", delay_ms=300)).cancel()
        await until(lambda: driver.is_in(request, "needs_attention"))
        return request

    return stuck


@pytest.fixture
def new_worker(servers: EmbeddedServers, place: Place) -> NewWorker:
    """`async with new_worker(queue) as worker` gives a worker as a process, to be started."""

    def make(
        queue: str, module: str = "worker", **more: str
    ) -> AbstractAsyncContextManager[WorkerProcess]:
        return worker_process(
            servers.environment()
            | {
                "AMENDS_DATABASE_URL": needed(place.settings.database_url, "AMENDS_DATABASE_URL"),
                "AMENDS_MOCK_BANK_URL": place.bank_url,
                "AMENDS_PAYMENTS_QUEUE": queue,
                "AMENDS_SWEEP_QUEUE": f"{queue}-sweep",
                "AMENDS_HEALTH_ADDRESS": free_address(),
            }
            | more,
            module,
        )

    return make


@asynccontextmanager
async def working_for(
    client: Client, place: Place, queue: str, **settings: Any
) -> AsyncIterator[None]:
    """A worker of this client, with queues of its own, while the block runs."""
    settings |= {"payments_queue": queue, "infrastructure_queue": f"{queue}-changes"}
    settings |= {"sweep_queue": f"{queue}-sweep"}
    stop = asyncio.Event()
    async with wire(replace(place.settings, **settings), client) as running:
        task = asyncio.create_task(work(running.workers, stop))
        try:
            yield
        finally:
            stop.set()
            await task


async def start_change(client: Client, name: str, **options: Any) -> Handle:
    """A change for `gated` that makes a and b side by side, and c after a."""
    a, b, c = (f"{name}-{letter}" for letter in "abc")
    present = [role(a), role(b), {**role(c), "depends_on": [a]}]
    request = {"operation_id": name, "actor": "user:ana", "present": present}
    options |= {"id": f"change/{name}", "task_queue": f"{GATED}-changes"}
    return await client.start_workflow("InfrastructureSaga", request, **options)


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
async def gated(
    servers: EmbeddedServers, place: Place, gates: Gates, quick_bank: None
) -> AsyncIterator[Client]:
    """A client of a worker for all sagas, whose activities are behind gates."""
    address = servers.temporal.address
    client = await Client.connect(address, data_converter=DATA_CONVERTER, interceptors=[gates])
    async with working_for(client, place, GATED, target_url=servers.target_url):
        yield client
        gates.open()


@pytest.fixture
async def stops(driver: Driver, gates: Gates, probe: Probe) -> AsyncIterator[Stops]:
    """Makes sagas of `gated` stand still; gone before the ledger is checked."""
    async with standstill(probe.superuser_url) as still:
        yield Stops(gates, still)
