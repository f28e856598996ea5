"""Crash a saga at every place: a dry run finds the places, then each gets a saga of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from ledger.canonical import digest
from ledger.verify import verify
from tests.crash.ground import Ground, patiently
from tests.crash.laws import Case, Ended, broken
from tests.crash.nursery import Process
from tests.crash.orders import ANSWER_LOST, FROZEN, NOT_SENT, OUTAGES, TWICE, Notes, Orders
from tests.crash.places import faults_at
from tests.crash.play import Play
from tests.crash.shapes import SHAPES, Shape

# Only what is broken takes so long.
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Point:
    """What befalls the worker at a place of a saga of this shape."""

    shape: str
    place: str
    fault: str

    def __str__(self) -> str:
        return f"{self.shape}, {self.place}, {self.fault}"


@dataclass(frozen=True)
class Tried:
    """A point, and the laws that are broken there, each as a sentence."""

    point: Point
    broken: list[str]
    seconds: float = 0.0


@dataclass
class _Run:
    """One saga and the workers that carry it."""

    ground: Ground
    shape: Shape
    place: str | None
    fault: str | None
    mutation: str | None
    deadline_s: float
    prefix: str = ""
    ended: Ended | None = None
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prefix = f"c{next(self.ground.numbers)}-"
        self.notes = Notes(self.ground.folder / f"{self.prefix}notes")
        self.play = Play(self.ground, self.prefix, f"crash-{self.prefix}")
        self.saga_id = self.shape.saga_id(self.prefix)

    async def whole(self) -> list[str]:
        """Let the saga run to its end, and what befalls its worker befall it."""
        found: list[str] = []
        try:
            async with asyncio.timeout(self.deadline_s):
                await self._to_the_end()
        except TimeoutError:
            found = [f"it did not end within {self.deadline_s:.0f} s"]
        except (RPCError, WorkflowUpdateFailedError) as error:
            found = [f"its client failed: {type(error).__name__}"]
        finally:
            for process in self.processes:
                process.kill()
        if self.ended is not None:
            case = Case(self.ground, self.shape, self.prefix, self.fault, self.ended)
            found += await broken(case)
        return [*self._missed(), *found]

    async def _to_the_end(self) -> None:
        first = await self._start(self.place, self.fault)
        playing = asyncio.create_task(self._played())
        befalling = asyncio.create_task(self._befall(first, playing))
        try:
            self.ended = await playing
            await befalling
        finally:
            playing.cancel()
            befalling.cancel()
            await asyncio.gather(playing, befalling, return_exceptions=True)

    async def _played(self) -> Ended:
        await self.shape.script(self.play)
        return await Ended.of(self.ground.client.get_workflow_handle(self.saga_id))

    async def _befall(self, first: Process, playing: asyncio.Task[Ended]) -> None:
        if self.fault in (None, NOT_SENT, ANSWER_LOST):
            await self._until_struck(playing)
            self.play.struck.set()
            return
        if not await _either(first.down.wait(), playing):
            return
        self.play.struck.set()
        if self.fault in OUTAGES:
            await self.ground.outage(self.fault, first.wake)
            return
        second = await self._start(self.place if self.fault == TWICE else None, self.fault)
        if self.fault == TWICE:
            await _either(second.down.wait(), playing)
            second.wake()
        if self.fault == FROZEN:
            await asyncio.wait([playing])
        if self.fault in (FROZEN, TWICE):
            first.wake()
            # Whoever stood there has to have done what he was about to do.
            while len(self.notes.lines("woke")) < len(self.notes.lines("struck")):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _until_struck(self, playing: asyncio.Task[Ended]) -> None:
        while not self.notes.lines("struck") and not playing.done():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def _start(self, place: str | None, fault: str | None) -> Process:
        process = await self.ground.nursery.start(
            Orders(
                settings=self.ground.worker_settings(self.play.queue),
                temporal=self.ground.servers.temporal.address,
                room=self.shape.room,
                saga_id=self.saga_id,
                prefix=self.prefix,
                notes=str(self.notes.path),
                heartbeat_s=self.shape.heartbeat_s,
                place=place,
                fault=fault,
                mutation=self.mutation,
            )
        )
        self.processes.append(process)
        return process

    def _missed(self) -> list[str]:
        if self.place is None:
            return []
        wanted = 2 if self.fault == TWICE else 1
        struck = self.notes.lines("struck")
        return [] if struck == [self.place] * wanted else [f"not hit: {struck}"]


async def _either(event: object, playing: asyncio.Task[Ended]) -> bool:
    """Wait for the event; False when the saga was quicker."""
    waiting = asyncio.ensure_future(event)  # type: ignore[call-overload]
    await asyncio.wait([waiting, playing], return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        return True
    waiting.cancel()
    return False


async def places_of(ground: Ground, shape: str) -> list[str]:
    """The places that a saga of this shape passes, in their order. Raises AssertionError when it
    breaks a law although nothing befell it."""
    run = _Run(ground, SHAPES[shape], None, None, None, DEADLINE_S)
    found = await run.whole()
    assert found == [], f"{shape}: {found}"
    return run.notes.lines("passed")


def points_at(shape: str, places: Sequence[str]) -> list[Point]:
    """Everything that may befall a worker at these places."""
    points = [Point(shape, place, fault) for place in places for fault in faults_at(place)]
    # Two workers count the turns of a place apart. And where somebody cancels, the second one does
    # not come to the same place any more, unless it is in the undo.
    undo = "before activity begin_compensation"
    first = places.index(undo) if undo in places else len(places)
    common = set(places[first if SHAPES[shape].is_cancelled else 0 :])
    return [
        point
        for point in points
        if point.fault != TWICE or (point.place in common and "#" not in point.place)
    ]


def a_selection(points: Sequence[Point], most: int) -> list[Point]:
    """So many of them, from everywhere, the same ones each time: in the order of their digests."""
    return sorted(points, key=lambda point: digest(str(point)))[:most]


async def try_point(
    ground: Ground, point: Point, mutation: str | None = None, deadline_s: float = DEADLINE_S
) -> Tried:
    """One saga, crashed there."""
    since = asyncio.get_running_loop().time()
    shape = SHAPES[point.shape]
    run = _Run(ground, shape, point.place, point.fault, mutation, deadline_s)
    found = await run.whole()
    return Tried(point, found, asyncio.get_running_loop().time() - since)


async def try_points(ground: Ground, points: Sequence[Point], at_once: int) -> AsyncIterator[Tried]:
    """All of them, so many at once."""
    waiting = list(reversed(points))
    running: set[asyncio.Task[Tried]] = set()
    while waiting or running:
        while waiting and len(running) < at_once:
            running.add(asyncio.create_task(try_point(ground, waiting.pop())))
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            yield task.result()


async def try_outage(ground: Ground, point: Point, company: Sequence[str]) -> Tried:
    """The same for a server that dies; sagas of the shapes in `company` are under way beside it."""
    beside = [_Run(ground, SHAPES[shape], None, None, None, DEADLINE_S) for shape in company]
    trying = asyncio.create_task(try_point(ground, point))
    others = await asyncio.gather(*(run.whole() for run in beside))
    found = [
        f"{run.shape.name} beside it: {law}"
        for run, laws in zip(beside, others, strict=True)
        for law in laws
    ]
    tried = await trying
    return replace(tried, broken=[*tried.broken, *found])


async def findings(ground: Ground) -> list[str]:
    """What `verify` finds in the whole ledger, and the sagas that are open in it."""
    verified = await patiently(lambda: verify(ground.reader))
    found = [f"verify: {each}" for each in verified.findings]
    rows = await ground.ask(
        "SELECT workflow_id, state FROM ledger.sagas"
        " WHERE state NOT IN ('completed', 'compensated', 'failed')"
    )
    return found + [f"{row['workflow_id']} is {row['state']}" for row in rows]
