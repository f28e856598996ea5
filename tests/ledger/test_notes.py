"""What is put on record of a step on its way: once, and in its order."""

from dataclasses import replace

from ledger.aggregates.aggregate import Event
from ledger.aggregates.saga_step import StepAttentionRequested, StepRetryRequested
from ledger.database import Database
from ledger.sagas.saga_log import take_over
from ledger.sagas.step_log import note_step
from tests.ledger.conftest import Clone
from tests.ledger.writing import AUTHOR, begin_step, claim, open_payment, run

STEP_EVENTS = (
    "SELECT array_agg(event_type || ' ' || (payload->>'epoch') || '/' || (payload->>'tries')"
    " ORDER BY version) FROM ledger.event_log WHERE starts_with(aggregate, 'step/') AND version > 1"
)


def asked(tries: int, epoch: int = 1) -> Event:
    return StepAttentionRequested(reason="unknown", epoch=epoch, tries=tries, undoing=False)


def retried(tries: int, epoch: int = 1) -> Event:
    return StepRetryRequested(reason=None, epoch=epoch, tries=tries, undoing=False)


async def test_a_question_and_its_answer_that_come_again_are_written_once(
    clone: Clone, ledger: Database
) -> None:
    """Two workers had the same task, and one of them was slower than the person."""
    await open_payment(ledger)
    await begin_step(ledger)
    for event in (asked(1), asked(1), retried(1), asked(1), retried(1), asked(2), retried(1)):
        step = await note_step(ledger, AUTHOR, claim(), "running", event)
    assert (step.attention, step.tries) == ("unknown", 2)
    # Whoever takes the saga over counts his own tries.
    await take_over(ledger, AUTHOR, "payment/rent", "run-1", 1, run("run-2"))
    theirs = replace(claim(), epoch=2)
    for event in (retried(2, epoch=2), asked(1, epoch=2), asked(3, epoch=2)):
        step = await note_step(ledger, AUTHOR, theirs, "running", event)
    assert (step.attention, step.tries) == ("unknown", 3)
    assert await clone.fetch(STEP_EVENTS) == [
        (
            [
                *("StepAttentionRequested 1/1", "StepRetryRequested 1/1"),
                *("StepAttentionRequested 1/2", "StepRetryRequested 2/2"),
                "StepAttentionRequested 2/3",
            ],
        )
    ]
