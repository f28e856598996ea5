"""Crash a saga at every place: a dry run finds the places, then each gets a saga of its own.

What is passed after a crash is known from there: these are the places of a second one.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from ledger.audit.verify import verify
from ledger.store.canonical_json import digest
from tests.crash.every import SCENARIOS
from tests.crash.ground import Ground, patiently
from tests.crash.orders import ANSWER_LOST, KILL, NOT_SENT, TWICE, Blow
from tests.crash.places import faults_at
from tests.crash.run import DEADLINE_S, Run

# What leaves the saga to a worker that goes on at once, and may be killed as well.
FIRST = (KILL, NOT_SENT, ANSWER_LOST)
TWO_FAULTS = "two faults"
# The only law that a saga breaks to which nothing happened, and after how many of them it counts.
UNTOUCHED, TRIES = "not hit: []", 3


@dataclass(frozen=True)
class Point:
    """What befalls the worker at a place of a saga of this scenario; and whoever goes on with it is
    killed at the place `then`."""

    scenario: str
    place: str
    fault: str
    then: str | None = None

    @property
    def blows(self) -> list[Blow]:
        second = [] if self.then is None else [Blow(self.then, KILL)]
        return [Blow(self.place, self.fault), *second]

    def __str__(self) -> str:
        then = f", then {self.then}, {KILL}" if self.then else ""
        return f"{self.scenario}, {self.place}, {self.fault}{then}"

    @property
    def column(self) -> str:
        """Where it stands in the table."""
        return TWO_FAULTS if self.then else self.fault


@dataclass(frozen=True)
class Tried:
    """A point, the laws that are broken there, each as a sentence, and the places that were passed
    afterwards: new ones, or the same again."""

    point: Point
    broken: list[str]
    afterwards: list[str] = field(default_factory=list)
    seconds: float = 0.0


async def places_of(ground: Ground, scenario: str) -> list[str]:
    """The places that a saga of this scenario passes, in their order. Raises AssertionError when it
    breaks a law although nothing befell it."""
    run = Run(ground, SCENARIOS[scenario])
    found = await run.whole()
    assert found == [], f"{scenario}: {found}"
    passed = run.notes.passed_between()[-1]
    begins_at = run.scenario.begins_at
    return passed[passed.index(begins_at) :] if begins_at else passed


def points_at(scenario: str, places: Sequence[str]) -> list[Point]:
    """Everything that may befall a worker at these places."""
    points = [Point(scenario, place, fault) for place in places for fault in faults_at(place)]
    # Two workers count the turns of a place apart. And where somebody cancels, the second one does
    # not come to the same place any more, unless it is in the undo.
    common = set(_in_the_undo(places) if SCENARIOS[scenario].is_cancelled else places)
    return [
        point
        for point in points
        if point.fault != TWICE or (point.place in common and "#" not in point.place)
    ]


def pairs_at(tried: Tried) -> list[Point]:
    """What may befall whoever goes on after this point, at places that he passes each time."""
    first, scenario = tried.point, SCENARIOS[tried.point.scenario]
    if tried.broken or first.fault not in FIRST or scenario.is_cancelled:
        return []
    # Of two that go on side by side, the fault may find the other one anywhere.
    places = _in_the_undo(tried.afterwards) if scenario.is_parallel else tried.afterwards
    # How often a place is come to again depends on how busy the processors are.
    return [replace(first, then=place) for place in places if "#" not in place]


def _in_the_undo(places: Sequence[str]) -> Sequence[str]:
    """Those that come after the saga began to compensate; none where it does not, or had before."""
    turn = "before activity begin_compensation"
    return places[places.index(turn) :] if turn in places else ()


def a_selection(points: Sequence[Point], most: int) -> list[Point]:
    """So many of them, from everywhere, the same ones each time: in the order of their digests,
    after those that are always tried."""

    def place(point: Point) -> tuple[bool, str]:
        is_always = SCENARIOS[point.scenario].is_whole and point.then is None
        return not is_always, digest(str(point))

    return sorted(points, key=place)[:most]


async def try_point(
    ground: Ground, point: Point, mutation: str | None = None, deadline_s: float = DEADLINE_S
) -> Tried:
    """One saga, crashed there; others, where it was not come to that place: a commit whose task a
    busy machine takes from the worker is done by an attempt that does not get to its end."""
    since = asyncio.get_running_loop().time()
    scenario = SCENARIOS[point.scenario]
    for _ in range(TRIES):
        run = Run(ground, scenario, point.blows, mutation, deadline_s)
        found = await run.whole()
        if found != [UNTOUCHED]:
            break
    before, after = [[], *run.notes.passed_between()][-2:]
    # Whatever was on its way at the fault is done again; what came before that may not be.
    new = [place for place in after if place == point.place or place not in before]
    seconds = asyncio.get_running_loop().time() - since
    return Tried(point, found, new, seconds)


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
    """The same for a server that dies; sagas of the scenarios in `company` run beside it."""
    beside = [Run(ground, SCENARIOS[scenario]) for scenario in company]
    trying = asyncio.create_task(try_point(ground, point))
    others = await asyncio.gather(*(run.whole() for run in beside))
    found = [
        f"{run.scenario.name} beside it: {law}"
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
