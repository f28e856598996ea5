"""Retries a step on its way forward until it has an answer, with growing pauses, visibly."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.step import Claim
from ledger.words import summary_of
from workflows.engine.run import SagaRun, cause_of, heed_cancel, is_final, tries_of, words_of

Answer = TypeVar("Answer")

# The pauses before an unknown outcome is looked up, and before an undo that had no success is tried
# again. Each costs a dozen events, so that at one an hour the history lasts for half a year.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=500), timedelta(hours=1)
# On the way forward nobody can say "now": a month, and soon there when the server is back.
LONGEST_FORWARD = timedelta(minutes=10)


def longer(pause: timedelta, at_most: timedelta = LONGEST_PAUSE) -> timedelta:
    """The pause after this one."""
    return min(2 * pause, at_most)


async def persist(
    run: SagaRun,
    claim: Claim,
    work: Callable[[Claim], Awaitable[Answer]],
    *,
    takes_no: bool = False,
) -> Answer:
    """Retry `work`, which tries `TRIES_AT_ONCE` times by itself, until it has an answer; returns
    that.

    Raises ActivityError for a no; past the pivot a no is tried again as well, and only the fence
    ends it, unless the story `takes_no` for an answer.
    """
    pause, tries = FIRST_PAUSE, 0
    while True:
        try:
            return await work(claim.model_copy(update={"tries": claim.tries + tries}))
        except ActivityError as error:
            told = is_final(error)
            goes_on = run.lifecycle.is_past_pivot and not takes_no
            ends = told and not (goes_on and cause_of(error) != "Fenced")
            if ends or is_cancelled_exception(error):
                raise
            why, tries = words_of(error), tries + tries_of(error)
        # An activity that fails in spite of a cancel fails as it would without.
        heed_cancel()
        again = f"{why}; tried again in {pause.total_seconds():g} s"
        run.mark(claim.step, "running", again, tries=claim.tries + tries)
        await workflow.sleep(pause, summary=summary_of(f"try {claim.step} again"))
        pause = longer(pause, LONGEST_FORWARD)
