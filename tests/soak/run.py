"""Many payments at once, some of them in trouble, while workers are killed."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psutil
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.adapters.mock import Fault, MockBank
from benchmarks.run import cpu_s
from tests.soak.fleet import Fleet, Memory, Sample, fleet
from tests.soak.laws import Law, laws
from tests.soak.troubles import StuckSaga, troubles
from tests.support.driver import (
    APPROVAL_THRESHOLD,
    MAX_PER_TRANSACTION,
    Driver,
    Handle,
    Json,
    payment,
    policy,
    refund,
    registration,
    saga_of,
)
from tests.support.probe import Probe
from tests.support.until import until

AGENTS = 25
# Where the pesos of a captured payment divide by the first, the second go back.
REFUND_EVERY, REFUNDED = 4, 100
# Nobody reaches it: what is refused here is refused by the bank or a person.
DAILY_LIMIT_MINOR = 10**12


@dataclass(frozen=True)
class Plan:
    """So many sagas, so many at once, `kills` on the way; every so many meets trouble."""

    sagas: int
    at_once: int
    kills: int
    trouble_every: int
    workers: int = 2


@dataclass(frozen=True)
class Ground:
    """Where it takes place: `environment` is the workers', with their task queue."""

    environment: Mapping[str, str]
    driver: Driver
    probe: Probe
    bank: MockBank
    servers: Mapping[str, psutil.Process]


@dataclass
class Soaked:
    """What became of it."""

    elapsed_s: float = 0.0
    ends: dict[str, Counter[str]] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    laws: list[Law] = field(default_factory=list)
    kills: int = 0
    cpu_s: dict[str, float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    _one_more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> int:
        return sum(count.total() for count in self.ends.values())

    def note(self, trouble: StuckSaga, saga_id: str, end: str) -> None:
        """A saga has ended so."""
        self.ends.setdefault(trouble.name, Counter())[end] += 1
        if end not in trouble.ends:
            self.unexpected.append(f"{saga_id} ({trouble.name}) ended as {end}")
        self._one_more.set()

    async def until_ended(self, sagas: int) -> None:
        """Wait until so many have ended."""
        while self.ended < sagas:
            self._one_more.clear()
            await self._one_more.wait()

    @property
    def memory(self) -> Memory:
        return Memory.of(self.samples, self.ended)

    @property
    def broken(self) -> list[str]:
        """What should not be; nothing."""
        return [*self.unexpected, *(law.sentence for law in self.laws if not law.holds)]


async def soak(ground: Ground, plan: Plan) -> Soaked:
    """Run the plan to its end, and look at the laws."""
    soaked = Soaked()
    async with fleet(ground.environment, plan.workers) as workers:
        agents = await _agents(ground.driver)
        work = [
            (trouble, _request(agents, number, trouble))
            for number, trouble in enumerate(troubles(plan.sagas, plan.trouble_every))
        ]
        left = iter(work)
        sampling = asyncio.create_task(workers.sample(lambda: soaked.ended))
        before, began = _spent_s(ground, workers), time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_kill(workers, soaked, plan))
            for _ in range(plan.at_once):
                tasks.create_task(_lane(ground, soaked, left))
        soaked.elapsed_s = time.perf_counter() - began
        after = _spent_s(ground, workers)
        soaked.cpu_s = {name: spent_s - before[name] for name, spent_s in after.items()}
        sampling.cancel()
        soaked.kills, soaked.samples = workers.kills, workers.samples
    requests = [request for _, request in work]
    soaked.laws = await laws(ground.probe, ground.driver.client, ground.driver.queue, requests)
    return soaked


def _spent_s(ground: Ground, workers: Fleet) -> dict[str, float]:
    """Processor time by whom it was spent so far."""
    spent = {name: cpu_s(process) for name, process in ground.servers.items()}
    return {"workers": workers.cpu_s(), **spent, "client": time.process_time()}


async def _agents(driver: Driver) -> list[str]:
    agents = [f"soak-{number}" for number in range(AGENTS)]
    for agent in agents:
        await driver.run(registration(agent))
        await driver.run(policy(agent, daily_limit_minor=DAILY_LIMIT_MINOR))
    return agents


def _request(agents: list[str], number: int, trouble: StuckSaga) -> Json:
    pesos = 1_000 + number  # of each its own amount, so that a sum that fits is no chance
    pesos %= APPROVAL_THRESHOLD - 1_000
    if trouble.asks:
        pesos = APPROVAL_THRESHOLD + 1 + number % 1_000
    if trouble.too_much:
        pesos = MAX_PER_TRANSACTION + 1 + number
    more = {"approve_within": trouble.approve_within}
    return payment(agents[number % AGENTS], pesos, **more)


async def _kill(workers: Fleet, soaked: Soaked, plan: Plan) -> None:
    """Evenly over the run, with all lanes at work."""
    for number in range(1, plan.kills + 1):
        await soaked.until_ended(plan.sagas * number // (plan.kills + 1))
        await workers.kill_one()


async def _lane(ground: Ground, soaked: Soaked, left: Iterator[tuple[StuckSaga, Json]]) -> None:
    for trouble, request in left:
        await _carry(ground, soaked, trouble, request)


async def _carry(ground: Ground, soaked: Soaked, trouble: StuckSaga, request: Json) -> None:
    """One payment from its start to its end."""
    for operation, fault, delay_ms in trouble.faults:
        await ground.bank.inject(Fault(saga_of(request), fault, operation, delay_ms=delay_ms))
    if trouble.asks and trouble.does:
        await ground.driver.submit(request)
        handle = ground.driver.handle(request)
    else:
        handle = await ground.driver.start(request)
    for deed in trouble.does:
        await _do(ground, deed, request, handle)
    end = await _end(handle)
    # A part goes back while workers are killed.
    if end == "captured" and request["amount"]["minor"] // 100 % REFUND_EVERY == 0:
        await ground.driver.run(refund(request, REFUNDED))
    soaked.note(trouble, saga_of(request), end)


async def _do(ground: Ground, deed: str, request: Json, handle: Handle) -> None:
    if deed in ("approve", "reject", "cancel"):
        await ground.driver.tell(request, deed)
        return
    if deed == "cancel in transfer":
        await until(lambda: ground.probe.booked(request))
    try:
        await handle.cancel()
    except RPCError as error:
        # It was quicker.
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


async def _end(handle: Handle) -> str:
    """How a saga ended: the state of its result, or why it failed."""
    try:
        return str((await handle.result())["state"])
    except WorkflowFailureError as error:
        why = error.cause.type if isinstance(error.cause, ApplicationError) else repr(error.cause)
        return f"failed: {why}"
