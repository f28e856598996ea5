"""What a saga of five committed steps costs: ours, on DBOS Transact, and the floor of Temporal."""

import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.worker import Worker

from activities.agents import AgentActivities
from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from activities.together import TogetherActivities
from benchmarks.five import FiveApart, FiveInOne, FiveSteps
from benchmarks.floor import FiveLocal, FiveOrdinary, nothing
from benchmarks.ledgers import Ledger, drop_database, migrated
from benchmarks.pace import OWN, POSTGRES, TEMPORAL, Amount, Measured, together
from benchmarks.pace import measure as at_pace
from benchmarks.part import Part
from benchmarks.reader import read
from benchmarks.rival import Rival, set_up, steps_of
from benchmarks.run import cpu_s
from benchmarks.table import Table, factor
from ledger.database import Database, open_database
from worker import wiring
from worker.embedded.servers import EmbeddedServers
from worker.process import spare_the_collector
from worker.sandbox import runner
from worker.search_attributes import register_search_attributes
from workflows.contract.admission import DATA_CONVERTER
from workflows.contract.agent import AgentRequest

QUEUE = "five"
SPENDERS = (OWN, POSTGRES, TEMPORAL)
SYSTEM_DATABASE = "sagas_dbos"
PARTITIONS = 4
_TASK = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED


OURS, LOCAL, ORDINARY = "ours", "plain, local activities", "plain, ordinary activities"
APART = "ours, five commits in one activity"
IN_ONE, EAGER = "ours, one commit", "ours, one commit, eager start"
WORKFLOWS = {OURS: FiveSteps, APART: FiveApart, IN_ONE: FiveInOne, EAGER: FiveInOne}
# The forms in which a workflow of DBOS may be written, and the processes that share the work.
DBOS = {
    "DBOS, threads": ("threads", 1),
    "DBOS, one loop": ("loop", 1),
    "DBOS, threads, two processes": ("threads", 2),
}


@dataclass(frozen=True)
class Scale:
    """How much is measured in each of so many rounds, after so many that don't count, and beside
    which of others."""

    amount: Amount
    warm_up: int
    rounds: int
    rivals: Mapping[str, tuple[str, int]] = field(default_factory=lambda: DBOS)


WHOLE = Scale(Amount(alone=100, together=400, at_once=50), warm_up=50, rounds=3)
SMALL = Scale(Amount(alone=3, together=6, at_once=3), warm_up=3, rounds=1)
SWITCHES = ("on", "off")
# Beside DBOS: processor time and p50 at most, and sagas a second at least, by its processes.
AIMS: Mapping[str, tuple[float, float, Mapping[int, float]]] = {
    APART: (0.62, 0.75, {1: 2.0, 2: 1.35}),
    IN_ONE: (0.5, 0.58, {1: 2.0, 2: 1.6}),
}


@dataclass(frozen=True)
class Stage:
    """All that the kinds of saga need; `histories` is how long theirs are: events, and workflow
    tasks among them."""

    client: Client
    database: Database
    processes: Mapping[str, psutil.Process]
    scale: Scale
    histories: dict[str, tuple[int, int]] = field(default_factory=dict)

    def spent_s(self) -> dict[str, float]:
        """Processor time so far, by who spent it."""
        spent = {name: cpu_s(process) for name, process in self.processes.items()}
        return {OWN: time.process_time(), **spent}

    async def ours(self, kind: str, sandbox: str) -> Measured:
        """The product's base of all sagas, its activities and its wiring."""
        one = partial(self._one_of_ours, WORKFLOWS[kind].__name__, kind == EAGER)
        async with self._worker(sandbox):
            return await self._paced(named(kind, sandbox), one)

    async def plain(self, kind: str, workflow: type, sandbox: str) -> Measured:
        """As many activities, empty, under the same runner."""

        async def one(_: int) -> str:
            workflow_id = uuid4().hex
            name = workflow.__name__
            await self.client.execute_workflow(name, id=workflow_id, task_queue=QUEUE)
            return workflow_id

        async with Worker(
            self.client,
            task_queue=QUEUE,
            workflows=[workflow],
            activities=[nothing],
            workflow_runner=runner(sandbox),
        ):
            return await self._paced(named(kind, sandbox), one)

    async def template(self) -> str:
        """One saga of ours, whose rows the others write too; returns its id."""
        async with self._worker("on"):
            return await self._one_of_ours(FiveSteps.__name__, False, 0)

    def _worker(self, sandbox: str) -> Worker:
        rooms = [
            SagaActivities(self.database, self.client),
            StepRecords(self.database),
            (agents := AgentActivities(self.database)),
            TogetherActivities(self.database, [agents]),
        ]
        return wiring.worker(
            self.client, QUEUE, [FiveSteps, FiveApart, FiveInOne], rooms, runner(sandbox)
        )

    async def _one_of_ours(self, workflow: str, eager: bool, _: int) -> str:
        operation = f"five-{uuid4().hex[:12]}"
        request = AgentRequest(
            operation_id=operation,
            action="register",
            agent_id=operation,
            user="user:bench",
            actor="user:bench",
        )
        saga_id = f"five/{operation}"
        await self.client.execute_workflow(
            workflow, request, id=saga_id, task_queue=QUEUE, request_eager_start=eager
        )
        return saga_id

    async def _paced(self, name: str, one: Callable[[int], Awaitable[str]]) -> Measured:
        amount = self.scale.amount
        await together(one, Amount(0, self.scale.warm_up, amount.at_once))
        history = await self.client.get_workflow_handle(await one(0)).fetch_history()
        types = [event.event_type for event in history.events]
        self.histories[name] = len(types), types.count(_TASK)
        return await at_pace(one, amount, self.spent_s)


async def measure(servers: EmbeddedServers, scale: Scale) -> AsyncGenerator[Part, None]:
    """All kinds in turn, round after round: a machine is never equally fast for long."""
    if scale.rivals:
        await set_up()
    async with _staged(servers, scale) as (stage, rival, own):
        kinds = _kinds(stage, rival)
        rounds: dict[str, list[Measured]] = {name: [] for name in kinds}
        for _ in range(scale.rounds):
            for name, kind in kinds.items():
                rounds[name].append(await kind())
        findings = (await read(own.auditor, "verify", "1")).findings
        yield Part("Sagas of five steps", _table(rounds, stage), findings)
        yield Part("Sagas of five steps, side by side", _ratios(rounds, scale.rivals), [])


def _kinds(stage: Stage, rival: Rival) -> dict[str, Callable[[], Awaitable[Measured]]]:
    kinds: dict[str, Callable[[], Awaitable[Measured]]] = {}
    for sandbox in SWITCHES:
        for kind in WORKFLOWS:
            kinds[named(kind, sandbox)] = partial(stage.ours, kind, sandbox)
        kinds[named(LOCAL, sandbox)] = partial(stage.plain, LOCAL, FiveLocal, sandbox)
        kinds[named(ORDINARY, sandbox)] = partial(stage.plain, ORDINARY, FiveOrdinary, sandbox)
    for name, form in stage.scale.rivals.items():
        amount, warm_up = stage.scale.amount, stage.scale.warm_up
        kinds[name] = partial(rival.measure, *form, amount, warm_up, stage.spent_s)
    return kinds


def named(kind: str, sandbox: str) -> str:
    return f"{kind}, sandbox {sandbox}"


@asynccontextmanager
async def _staged(
    servers: EmbeddedServers, scale: Scale
) -> AsyncIterator[tuple[Stage, Rival, Ledger]]:
    assert servers.main.process is not None
    assert servers.temporal.process is not None
    processes = {
        POSTGRES: psutil.Process(servers.main.process.pid),
        TEMPORAL: psutil.Process(servers.temporal.process.pid),
    }
    client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
    await register_search_attributes(client)
    async with migrated(servers, "sagas") as ledgers:
        own = await ledgers.new(PARTITIONS)
        free = await ledgers.without_rules(own)
        async with open_database(own.worker, size=20, writes=True) as database:
            stage = Stage(client, database, processes, scale)
            saga_id = await stage.template()
            spare_the_collector()  # as the worker does
            rival = Rival(
                url=servers.main.url(database=free.name),
                system_url=servers.main.url(database=SYSTEM_DATABASE),
                operation=saga_id.removeprefix("five/"),
                steps=await steps_of(own.superuser, saga_id),
            )
            try:
                yield stage, rival, own
            finally:
                await drop_database(servers.main.url(), SYSTEM_DATABASE)


def _table(rounds: Mapping[str, list[Measured]], stage: Stage) -> Table:
    amount = stage.scale.amount
    table = Table(
        f"what | a second, {amount.at_once} at once | p50 ms, one at a time | p99 ms"
        f" | {' ms | '.join(SPENDERS)} ms | events | workflow tasks"
    )
    for name, found in rounds.items():
        times_ms = [time_ms for measured in found for time_ms in measured.times_ms]
        alone = Measured(0, times_ms)
        table.add(
            name,
            f"{statistics.median(it.per_s for it in found):.1f}",
            *(f"{alone.p50_ms:.1f}", f"{alone.p99_ms:.1f}"),
            *(f"{statistics.median(it.cpu_ms[who] for it in found):.1f}" for who in SPENDERS),
            *map(str, stage.histories.get(name, ("-", "-"))),
        )
    return table


def _ratios(rounds: Mapping[str, list[Measured]], rivals: Mapping[str, tuple[str, int]]) -> Table:
    """The median of the rounds, each compared with itself; restrictions on."""
    table = Table("ours | set beside | processor time | a second | p50")
    for kind in WORKFLOWS:
        ours = rounds[named(kind, "on")]
        for name, (_, processes) in rivals.items():
            cpu, p50, rates = AIMS.get(kind, (None, None, {}))
            beside = _compared(ours, rounds[name], cpu, rates.get(processes), p50)
            table.add(kind, name, *beside)
        for plain in (LOCAL, ORDINARY):
            table.add(kind, plain, *_compared(ours, rounds[named(plain, "on")]))
    return table


def _compared(
    ours: list[Measured],
    theirs: list[Measured],
    cpu: float | None = None,
    rate: float | None = None,
    p50: float | None = None,
) -> tuple[str, str, str]:
    pairs = list(zip(ours, theirs, strict=True))
    spent = (sum(a.cpu_ms.values()) / sum(b.cpu_ms.values()) for a, b in pairs)
    return (
        factor(statistics.median(spent), cpu),
        factor(statistics.median(one.per_s / other.per_s for one, other in pairs), rate),
        factor(statistics.median(one.p50_ms / other.p50_ms for one, other in pairs), p50),
    )
