"""Where the explorer works: a ledger, a bank and a target of its own, on given servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import psutil
from temporalio.client import Client

from activities.adapters.mock import MockBank, create_mock_bank
from ledger.aggregates.agent import AgentRegistered, agent_name
from ledger.aggregates.policy import PolicySet, policy_name
from ledger.database import Database, open_database
from ledger.errors import DatabaseUnavailable
from ledger.store.commit import Author, Decision, Ref, commit
from tests.crash.orders import POSTGRES_KILLED
from tests.crash.processes import WorkerProcesses, processes
from tests.infrastructure.driver import Target
from tests.support.closing import until_the_core_has_left
from tests.support.driver import Json, policy
from tests.support.until import until
from worker.embedded import child
from worker.embedded.databases import clone_database
from worker.embedded.server import Server
from worker.embedded.servers import EmbeddedServers
from worker.process import migrate
from worker.settings import Settings
from workflows.contract.admission import DATA_CONVERTER
from workflows.contract.policy import PolicyRequest

T = TypeVar("T")


@dataclass(frozen=True)
class Ground:
    """All that a point needs; `reader` sees the whole ledger, `worker` writes what a saga of
    another kind would have written."""

    servers: EmbeddedServers
    settings: Settings
    client: Client
    processes: WorkerProcesses
    reader: Database
    worker: Database
    bank: Database
    counter: MockBank
    target: Target
    folder: Path
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def worker_settings(self, queue: str) -> dict[str, Any]:
        """The settings of a worker on a task queue of its own."""
        ours = asdict(self.settings)
        queues = {"payments_queue": queue, "infrastructure_queue": queue}
        return ours | queues | {"sweep_queue": sweep_queue(queue), "sweep_grace": "PT0S"}

    async def ask(self, query: LiteralString, *values: Any) -> list[Json]:
        """What the ledger has."""
        return await _fetch(self.reader, query, values)

    async def ask_bank(self, query: LiteralString, *values: Any) -> list[Json]:
        """What the bank has."""
        return await _fetch(self.bank, query, values)

    async def outage(self, fault: str, meanwhile: Callable[[], None]) -> None:
        """A server is killed with all its processes, and started again."""
        postgres = fault == POSTGRES_KILLED
        server: Server = self.servers.main if postgres else self.servers.temporal
        assert server.process is not None
        await _kill(server.process)
        meanwhile()
        await server.restart()

    async def new_agent(self, name: str) -> None:
        """An agent with the policy of the requirements, that has spent nothing."""
        registered = AgentRegistered(agent_id=name, user="user:u-17")
        asked = PolicyRequest.model_validate(policy(name))
        policy_set = PolicySet(**asked.model_dump(include=set(PolicySet.__struct_fields__)))
        events = [(agent_name(name), registered), (policy_name(name), policy_set)]
        refs = [Ref(aggregate) for aggregate, _ in events]
        author = Author("user:u-17")
        await patiently(lambda: commit(self.worker, author, refs, lambda _: Decision(None, events)))


@asynccontextmanager
async def ground(servers: EmbeddedServers, name: str, folder: Path) -> AsyncIterator[Ground]:
    """A new ledger and a new bank of this name, and its worker processes."""
    ledger, bank = f"{name}_ledger", f"{name}_bank"
    for database, owner in ((ledger, "amends_owner"), (bank, "mock_bank")):
        await clone_database(servers.main.url(), "template1", database, owner)
    bank_url = servers.mock_bank_url(bank)
    await migrate(Settings(migration_url=servers.ledger_url("amends_owner", ledger)))
    await create_mock_bank(bank_url)
    settings = Settings(
        database_url=servers.ledger_url("amends_worker", ledger),
        mock_bank_url=bank_url,
        target_url=servers.target_url,
        environment="development",
    )
    assert servers.target is not None
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        yield Ground(
            servers=servers,
            settings=settings,
            client=await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER),
            processes=await enter(processes(folder / "workers.log")),
            reader=await enter(open_database(servers.ledger_url("amends_auditor", ledger), size=4)),
            worker=await enter(open_database(settings.database_url or "", size=2)),
            bank=await enter(open_database(bank_url, size=4)),
            counter=await enter(MockBank(bank_url)),
            target=Target(servers.target.url()),
            folder=folder,
        )
    await until_the_core_has_left()


def sweep_queue(queue: str) -> str:
    """Where the worker of this task queue sweeps."""
    return f"{queue}-sweep"


async def _kill(process: asyncio.subprocess.Process) -> None:
    root = psutil.Process(process.pid)
    family = [*root.children(recursive=True), root]
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    await process.wait()
    # Children of a killed one go to the first process, which may leave them zombies for long.
    await until(lambda: not any(child.is_alive(each) for each in family))


async def _fetch(database: Database, query: LiteralString, values: tuple[Any, ...]) -> list[Json]:

    async def fetch() -> list[Json]:
        async with database.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()

    return await patiently(fetch)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the database is away: connections from before an outage are of no use."""
    while True:
        try:
            return await ask()
        except DatabaseUnavailable:
            await asyncio.sleep(0.1)
