"""A run whose workflow task was lost asks again for what it did, also when that ended the saga."""

from typing import Any

import pytest

from ledger.aggregates.saga_step import StepSkipped, StepUndone
from ledger.database import Database
from ledger.errors import Fenced
from ledger.sagas.saga_log import begin_compensation, close_saga, take_over
from ledger.sagas.step_log import commit_step, note_step, undo_step
from ledger.store.commit import Decision, Loaded
from tests.ledger.writing import AUTHOR, claim, hold, open_payment, run

SAGA = "payment/rent"
RELEASED = StepUndone(note="released")


def changed(_: Loaded) -> Decision[Any]:
    raise AssertionError("what is done is not decided again")


async def undone_and_ended(ledger: Database) -> None:
    await open_payment(ledger)
    await commit_step(ledger, AUTHOR, claim(), [], hold)
    await begin_compensation(ledger, AUTHOR, SAGA, 1, "run-1", "rejected", None)
    await undo_step(ledger, AUTHOR, claim(epoch=2), [], lambda _: Decision(RELEASED))
    await close_saga(ledger, AUTHOR, SAGA, 2, "compensated", {})


async def test_a_step_of_a_saga_that_is_completed_has_its_result(ledger: Database) -> None:
    await open_payment(ledger)
    await commit_step(ledger, AUTHOR, claim(), [], hold)
    await close_saga(ledger, AUTHOR, SAGA, 1, "completed", {})
    assert await commit_step(ledger, AUTHOR, claim(), [], changed) == {"held": 1}


async def test_an_undo_of_a_saga_that_is_compensated_is_done(ledger: Database) -> None:
    await undone_and_ended(ledger)
    again = await undo_step(ledger, AUTHOR, claim(epoch=2), [], changed)
    assert again.note == "released"


async def test_an_undo_that_was_given_up_stays_so(ledger: Database) -> None:
    await undone_and_ended(ledger)
    skipped = StepSkipped(residual="a fee", tries=1)
    step = await note_step(ledger, AUTHOR, claim(epoch=2), "compensating", skipped)
    assert step.state == "undone"


async def test_a_new_step_of_a_saga_that_has_ended_is_refused(ledger: Database) -> None:
    await undone_and_ended(ledger)
    for epoch in (1, 2):
        with pytest.raises(Fenced):
            await commit_step(ledger, AUTHOR, claim("another", epoch=epoch), [], hold)


async def test_a_run_that_was_taken_over_is_refused_after_the_end(ledger: Database) -> None:
    await open_payment(ledger)
    await commit_step(ledger, AUTHOR, claim(), [], hold)
    await take_over(ledger, AUTHOR, SAGA, "run-1", 1, run("run-2"))
    await close_saga(ledger, AUTHOR, SAGA, 2, "completed", {})
    with pytest.raises(Fenced):
        await commit_step(ledger, AUTHOR, claim(epoch=1), [], changed)


async def test_what_was_not_undone_is_not_undone_after_the_end(ledger: Database) -> None:
    await open_payment(ledger)
    await commit_step(ledger, AUTHOR, claim(), [], hold)
    await close_saga(ledger, AUTHOR, SAGA, 1, "completed", {})
    with pytest.raises(Fenced):
        await undo_step(ledger, AUTHOR, claim(), [], changed)
