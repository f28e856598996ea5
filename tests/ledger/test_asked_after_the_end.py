"""A run whose workflow task was lost asks again for what it did, also when that ended the saga."""

import pytest

from ledger.aggregates.saga_step import StepSkipped, StepUndone
from ledger.database import Database
from ledger.errors import Fenced
from ledger.sagas.saga_log import close_saga, take_over
from ledger.sagas.step_log import commit_step, note_step, undo_step
from ledger.store.commit import Decision
from tests.ledger.writing import AUTHOR, changed, claim, compensate, open_payment, run, take_step

SAGA = "payment/rent"
RELEASED = StepUndone(note="released")


async def test_a_step_of_a_saga_that_is_completed_has_its_result_and_is_not_undone(
    ledger: Database,
) -> None:
    await open_payment(ledger)
    await take_step(ledger)
    await close_saga(ledger, AUTHOR, SAGA, 1, "completed", {})
    assert await commit_step(ledger, AUTHOR, claim(), [], changed) == {"held": 1}
    with pytest.raises(Fenced):
        await undo_step(ledger, AUTHOR, claim(), [], changed)


async def test_of_a_saga_that_is_compensated_an_undo_stays_done_and_a_new_step_is_refused(
    ledger: Database,
) -> None:
    await open_payment(ledger)
    await take_step(ledger)
    await compensate(ledger)
    await undo_step(ledger, AUTHOR, claim(epoch=2), [], lambda _: Decision(RELEASED))
    await close_saga(ledger, AUTHOR, SAGA, 2, "compensated", {})
    assert await undo_step(ledger, AUTHOR, claim(epoch=2), [], changed) == RELEASED
    # Nor is it given up any more.
    skipped = StepSkipped(residual="a fee", tries=1)
    step = await note_step(ledger, AUTHOR, claim(epoch=2), "compensating", skipped)
    assert step.state == "undone"
    for epoch in (1, 2):
        with pytest.raises(Fenced):
            await take_step(ledger, claim("another", epoch=epoch))


async def test_a_run_that_was_taken_over_is_refused_after_the_end(ledger: Database) -> None:
    await open_payment(ledger)
    await take_step(ledger)
    await take_over(ledger, AUTHOR, SAGA, "run-1", 1, run("run-2"))
    await close_saga(ledger, AUTHOR, SAGA, 2, "completed", {})
    with pytest.raises(Fenced):
        await commit_step(ledger, AUTHOR, claim(epoch=1), [], changed)
