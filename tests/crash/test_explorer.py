"""A sample of what `make crash` tries, and what it must see when a guard is taken away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.crash.explorer import (
    Point,
    Tried,
    findings,
    pairs_at,
    places_of,
    points_at,
    try_point,
    try_points,
)
from tests.crash.ground import Ground, ground
from tests.crash.mutations import MUTATIONS
from tests.crash.orders import ANSWER_LOST, FROZEN, KILL, NOT_SENT, TWICE
from worker.embedded.servers import EmbeddedServers

AT_ONCE = 6
# A saga without a guard may never end.
GIVE_UP_S = 30.0
AFTER_HIS_WORD = "after commit execute transfer: StepRetryRequested"
SAMPLE = [
    Point("payment lost in its transfer", "after commit saga: SagaCompensating", KILL),
    Point("payment whose undo a person retries", AFTER_HIS_WORD, KILL),
    Point("payment captured", "after bank transfer", ANSWER_LOST, then="before bank find"),
    Point("payment captured", "after bank transfer", FROZEN),
    Point("payment captured", "before bank transfer", TWICE),
    Point("payment captured", "after commit settle: SagaCompleted", ANSWER_LOST),
    Point("payment cancelled at the fault", "before bank transfer", FROZEN),
    Point("payment refused by the bank", "after commit authorize: StepUndone", ANSWER_LOST),
    Point("payment refunded", "after bank refund", KILL),
    Point("payment captured in two parts", "after commit execute transfer 2: StepDone", KILL),
    Point("payment captured in two parts", "after commit settle: StepCommitted", ANSWER_LOST),
    Point("policy set", "after commit set policy: StepCommitted", KILL),
    Point("change cancelled at the fault", "before commit create a: StepStarted", FROZEN),
    Point("payment captured", "after bank transfer", KILL),
    Point("payment cancelled at the fault", "after bank transfer", KILL),
    Point("change that fails and is undone", "after target delete app", KILL),
    Point("payment lost past its transfer", "before activity declare_lost_saga", KILL),
    Point("steps in one commit", "after commit c: SagaCompleted", KILL),
]


@pytest.fixture(scope="module")
async def here(
    servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    async with ground(servers, "crash", tmp_path_factory.mktemp("crash")) as made:
        yield made


async def test_a_sample_of_the_points_breaks_no_law(here: Ground) -> None:
    tried = [each async for each in try_points(here, SAMPLE, AT_ONCE)]
    assert len(tried) == len(SAMPLE)
    assert [(str(each.point), each.broken) for each in tried if each.broken] == []
    assert await findings(here) == []


async def test_the_places_of_a_saga_are_found_and_the_sample_is_among_its_points(
    here: Ground,
) -> None:
    for scenario in ("payment captured", "policy set"):
        points = points_at(scenario, await places_of(here, scenario))
        sample = {replace(point, then=None) for point in SAMPLE if point.scenario == scenario}
        assert sample <= set(points)


async def test_the_second_place_is_one_that_is_passed_after_the_first_fault(here: Ground) -> None:
    (pair,) = [point for point in SAMPLE if point.then]
    pairs = pairs_at(await try_point(here, replace(pair, then=None)))
    assert pair in pairs
    # What was done before the fault is not done again.
    assert "after commit authorize: StepCommitted" not in {point.then for point in pairs}


async def test_a_place_that_is_not_reached_is_a_broken_law_and_so_is_a_second_one(
    here: Ground,
) -> None:
    tried = await try_point(here, Point("policy set", "before bank transfer", NOT_SENT))
    assert tried.broken == ["not hit: []"]
    (pair,) = [point for point in SAMPLE if point.then]
    tried = await try_point(here, replace(pair, then="before bank cancel"))
    assert tried.broken == ["not hit: ['after bank transfer']"]


@pytest.fixture(scope="module")
async def without_a_guard(
    servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Tried]]:
    """What was tried with each mutation, all at once, in a ledger that is in ruins afterwards."""
    async with ground(servers, "ruins", tmp_path_factory.mktemp("ruins")) as ruins:
        few = asyncio.Semaphore(AT_ONCE)

        async def take_away(name: str) -> Tried:
            async with few:
                return await try_point(ruins, Point(*MUTATIONS[name].point), name, GIVE_UP_S)

        yield dict(zip(MUTATIONS, await asyncio.gather(*map(take_away, MUTATIONS)), strict=True))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_law_is_broken_with(without_a_guard: dict[str, Tried], mutation: str) -> None:
    """Broken by what was done, and not because the point was missed or the time was up."""
    laws = without_a_guard[mutation].broken
    assert [law for law in laws if MUTATIONS[mutation].law in law] != [], laws
    # With its guard, the sample tries the same point and breaks no law.
    assert Point(*MUTATIONS[mutation].point) in SAMPLE
