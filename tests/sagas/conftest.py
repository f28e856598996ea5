"""One worker in this process for all tests of sagas, on a ledger and a bank of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg import AsyncConnection, conninfo, sql
from temporalio.client import Client

from activities.adapters.mock import Fault, FaultName, MockBank
from tests.sagas.books import Books
from tests.sagas.gate import Gate, gate_before
from tests.sagas.teller import Json, Teller, new_id, policy, registration, saga_of
from tests.sagas.worker_process import WorkerProcess, worker_process
from worker.embedded.servers import EmbeddedServers
from worker.process import migrate, work
from worker.settings import Settings
from worker.wiring import wire
from workflows.border import DATA_CONVERTER

LEDGER, BANK = "sagas_ledger", "sagas_bank"
QUEUE, INFRASTRUCTURE_QUEUE = "sagas-payments", "sagas-infrastructure"
# Threads of the SDK's core may call into an interpreter that goes down too early, and abort it.
AFTER_CLOSING_S = 0.5

NewAgent = Callable[..., Awaitable[str]]
Inject = Callable[..., Awaitable[None]]
NewWorker = Callable[..., AbstractAsyncContextManager[WorkerProcess]]


@dataclass(frozen=True)
class Place:
    """The settings by which a worker finds the ledger and the bank of these tests."""

    settings: Settings
    bank_gate: Gate


@pytest.fixture(scope="session")
async def place(servers: EmbeddedServers) -> AsyncIterator[Place]:
    """A migrated ledger and a bank with books, both empty; the way to the bank has a gate."""
    async with await AsyncConnection.connect(servers.main.url(), autocommit=True) as connection:
        for name, owner in ((LEDGER, "amends_owner"), (BANK, "mock_bank")):
            await connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(owner)
                )
            )
    async with gate_before(servers.mock_bank_url(BANK)) as gate:
        settings = Settings(
            database_url=servers.ledger_url("amends_worker", LEDGER),
            migration_url=servers.ledger_url("amends_owner", LEDGER),
            mock_bank_url=gate.url,
            payments_queue=QUEUE,
            infrastructure_queue=INFRASTRUCTURE_QUEUE,
        )
        await migrate(settings)
        yield Place(settings, gate)


@pytest.fixture(scope="session")
async def client(servers: EmbeddedServers) -> Client:
    return await Client.connect(
        servers.temporal.address, data_converter=DATA_CONVERTER, identity="amends-tests"
    )


@pytest.fixture(scope="session")
async def working(place: Place, client: Client) -> AsyncIterator[None]:
    """The worker, wired as it is in production, in this process."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(wire(place.settings, client))
        task = asyncio.create_task(work(running.workers, stop))
        yield
        stop.set()
        await task
    await asyncio.sleep(AFTER_CLOSING_S)


@pytest.fixture(scope="session")
async def books(servers: EmbeddedServers, place: Place) -> Books:
    return Books(
        servers.ledger_url("amends_auditor", LEDGER),
        servers.mock_bank_url(BANK),
        conninfo.make_conninfo(servers.main.url(), dbname=LEDGER),
    )


@pytest.fixture
async def teller(client: Client, books: Books, working: None) -> AsyncIterator[Teller]:
    """A client; whatever the test did with it, ledger and bank agree afterwards."""
    yield Teller(client, QUEUE)
    await books.check()


@pytest.fixture
async def new_agent(teller: Teller) -> NewAgent:
    """`await new_agent()` gives an agent with the policy of the requirements, or with `limits`."""

    async def register(**limits: Any) -> str:
        agent = new_id("bot")
        await asyncio.gather(teller.run(registration(agent)), teller.run(policy(agent, **limits)))
        return agent

    return register


@pytest.fixture
async def agent(new_agent: NewAgent) -> str:
    """An agent with the policy of the requirements that has spent nothing."""
    return await new_agent()


@pytest.fixture(scope="session")
async def bank(servers: EmbeddedServers, place: Place) -> AsyncIterator[MockBank]:
    """The bank's own counter, past the gate: for its faults."""
    async with MockBank(servers.mock_bank_url(BANK)) as bank:
        yield bank


@pytest.fixture
async def inject(bank: MockBank) -> Inject:
    """`await inject(request, "timeout_after", delay_ms=500)` scripts a fault for its transfer."""

    async def script(request: Json, fault: FaultName, **more: Any) -> None:
        await bank.inject(Fault(saga_of(request), fault, **more))

    return script


def free_address() -> str:
    """host:port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return "{}:{}".format(*server.getsockname())


@pytest.fixture
def new_worker(servers: EmbeddedServers, place: Place) -> NewWorker:
    """`async with new_worker(queue) as worker` gives a worker as a process, to be started."""

    def make(queue: str, **more: str) -> AbstractAsyncContextManager[WorkerProcess]:
        return worker_process(
            servers.environment()
            | {
                "AMENDS_DATABASE_URL": servers.ledger_url("amends_worker", LEDGER),
                "AMENDS_MOCK_BANK_URL": servers.mock_bank_url(BANK),
                "AMENDS_PAYMENTS_QUEUE": queue,
                "AMENDS_HEALTH_ADDRESS": free_address(),
            }
            | more
        )

    return make
