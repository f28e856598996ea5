"""The progress of a saga that is read from the ledger is the progress that its run tells."""

import pytest

from activities.adapters.mock import MockBank
from activities.transfers import TELL_WITHIN
from ledger.database import Database
from ledger.read.sagas import saga as saga_story
from starter.client.recorded import progress_of
from tests.sagas.conftest import Inject, Stuck
from tests.support.driver import USER, Driver, Json, payment, saga_of
from tests.support.probe import Probe
from tests.support.until import until
from workflows.contract.progress import Progress

TRANSFER = "execute transfer"
Steps = dict[str, tuple[str, int]]


def steps_of(progress: Progress) -> Steps:
    """The state and the tries of each step, by its name."""
    return {step.name: (step.state, step.tries) for step in progress.steps}


class Both:
    """Reads a progress twice: from the run and from the ledger."""

    def __init__(self, driver: Driver, ledger: Database) -> None:
        self._driver, self._ledger = driver, ledger

    async def live(self, request: Json) -> Steps:
        return steps_of(Progress.model_validate(await self._driver.progress(request)))

    async def recorded(self, request: Json) -> Steps:
        story = await saga_story(self._ledger, saga_of(request))
        return steps_of(progress_of(story))

    async def agree(self, request: Json) -> Steps:
        """Both tell the same of each step; returns what."""
        told = await self.live(request)
        assert await self.recorded(request) == told
        return told


@pytest.fixture
def both(driver: Driver, ledger: Database) -> Both:
    return Both(driver, ledger)


async def test_a_step_that_runs_or_is_done_at_its_second_try_has_no_tries_without_success(
    driver: Driver, probe: Probe, both: Both, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with probe.refusing(request, "StepDone") as is_refused:
        await driver.start(request)
        await until(is_refused)
        assert (await both.agree(request))[TRANSFER] == ("running", 0)
    await driver.result(request)
    assert (await both.agree(request))[TRANSFER] == ("done", 0)
    assert (await probe.event(request, "StepDone"))["payload"]["tries"] > 1


async def test_a_step_that_is_refused_and_one_that_is_undone_tell_the_tries_of_the_undo(
    driver: Driver, both: Both, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "refuse")
    await driver.run(request)
    assert await both.agree(request) == {"authorize": ("undone", 1), TRANSFER: ("refused", 0)}


async def test_a_step_in_doubt_that_an_operator_resolves_as_failed_tells_its_tries_until_then(
    driver: Driver, both: Both, bank: MockBank, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_before")
    state, tries = (await both.agree(request))[TRANSFER]
    assert (state, tries > 1) == ("needs_attention", True)
    await bank.cancel(saga_of(request))
    told = {**USER, "step": TRANSFER, "outcome": "failed", "evidence": "the bank has no such order"}
    await driver.tell(request, "resolve", told)
    await driver.result(request)
    assert (await both.agree(request))[TRANSFER] == ("failed", 0)


async def test_an_undo_that_an_operator_tries_again_and_gives_up_tells_its_tries(
    driver: Driver, probe: Probe, both: Both, can_not_be_undone: Stuck
) -> None:
    request = await can_not_be_undone()
    state, tries = (await both.agree(request))[TRANSFER]
    assert (state, tries >= 2) == ("needs_attention", True)
    async with probe.bank_stands_still():
        await driver.tell(request, "retry", {**USER, "step": TRANSFER})
        assert await both.agree(request) == {"authorize": ("done", 0), TRANSFER: ("undoing", tries)}
    await until(lambda: driver.is_in(request, "needs_attention"))
    await driver.tell(request, "skip", {**USER, "step": TRANSFER, "reason": "they keep it"})
    await driver.result(request)
    ended = await both.agree(request)
    assert (ended[TRANSFER][0], ended[TRANSFER][1] > tries) == ("skipped", True)


async def test_an_undo_that_is_tried_again_has_at_least_the_tries_on_record(
    driver: Driver, probe: Probe, both: Both, ledger: Database, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_after")
    for operation in ("find", "reverse"):
        await inject(request, "timeout_before", operation=operation, remaining=1_000)
    await driver.start(request)
    await until(lambda: driver.is_in(request, "resolving"))
    recorded = (await both.recorded(request))[TRANSFER]
    assert recorded == ("resolving", 1)
    story = await saga_story(ledger, saga_of(request))
    (on_record,) = progress_of(story).waits
    (live,) = Progress.model_validate(await driver.progress(request)).waits
    assert on_record.until == live.until
    assert on_record.since is not None
    assert live.until is not None
    assert live.until - on_record.since <= TELL_WITHIN
    await driver.tell(request, "cancel")

    async def is_delayed() -> bool:
        return await probe.has_told(request, "StepUndoDelayed")

    await until(is_delayed)
    state, tries = (await both.recorded(request))[TRANSFER]
    assert (state, tries >= 3) == ("undoing", True)
    state, so_far = (await both.live(request))[TRANSFER]
    assert (state, so_far >= tries) == ("undoing", True)
    await probe.heal(request)
    await driver.result(request)
    state, tries = (await both.agree(request))[TRANSFER]
    assert (state, tries > so_far) == ("undone", True)


async def test_a_step_that_asked_for_an_operator_asks_for_nobody_once_it_is_being_undone(
    driver: Driver, probe: Probe, ledger: Database, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_after")
    await probe.heal(request)
    async with probe.refusing(request, "StepUndone") as is_refused:
        await driver.tell(request, "cancel")
        await until(is_refused)
        story = await saga_story(ledger, saga_of(request))
        recorded = progress_of(story)
        live = Progress.model_validate(await driver.progress(request))
        assert (recorded.state, recorded.waits) == (live.state, live.waits) == ("compensating", [])
        assert steps_of(recorded)[TRANSFER] == ("unknown", 0)
    await driver.result(request)
