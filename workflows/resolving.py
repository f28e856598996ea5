"""A call whose outcome nobody knows: looked up with growing pauses, then told by a person."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.errors import UNKNOWN
from activities.step import Claim, Request
from activities.step_records import Doubt, StepRecords
from workflows.help import as_told, ask
from workflows.inbox import Asked
from workflows.saga_run import RESOLVING, SagaRun, heed_cancel, words_of

Answer = TypeVar("Answer")

# When the outside can't tell for so long, a person is asked.
TELL_WITHIN = timedelta(days=1)
# The pauses before an unknown outcome is looked up, and before an undo that had no success is tried
# again. Each costs a dozen events, so that at one an hour the history lasts for half a year.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=500), timedelta(hours=1)


def longer(pause: timedelta) -> timedelta:
    """The pause after this one."""
    return min(2 * pause, LONGEST_PAUSE)


async def until_known(
    run: SagaRun,
    activity: Callable[[Any, Claim, Any], Awaitable[Answer]],
    claim: Claim,
    request: Request,
    tell_within: timedelta,
) -> Answer:
    """The answer of an activity that finds out, when it is called again, what became of its call.

    Raises what it fails with, once that is known.
    """
    asked: Asked | None = None
    # Of the time to tell, none has passed while the call was only retried.
    pause, until = FIRST_PAUSE, None
    plain, tries = claim, 0
    while True:
        try:
            answer = await run.outside(activity, claim, request, summary=claim.step)
        except ActivityError as error:
            why = _doubt(error, asked)
        else:
            _told(asked)
            return answer
        # The undo finds out by itself, and need not know how it stands.
        heed_cancel()
        tries += 1
        claim = plain.model_copy(update={"tries": tries})
        if tries == 1:
            doubt = Doubt(reason=why)
            await run.ours(StepRecords.note_unknown, claim, doubt, summary="outcome unknown")
            heed_cancel()
        until = until or workflow.now() + tell_within
        if workflow.now() < until:
            await _pause(run, claim, why, pause, until)
            pause = longer(pause)
            continue
        asked = await ask(run, claim, why, undoing=False, outside=True)
        claim = await as_told(run, claim, asked, undoing=False)
        heed_cancel()
        run.mark(claim.step, RESOLVING, why, tries=tries)
        pause, until = FIRST_PAUSE, None


async def _pause(run: SagaRun, claim: Claim, why: str, pause: timedelta, until: datetime) -> None:
    """The last one ends when a person is to be asked."""
    pause = min(pause, until - workflow.now())
    again = f"{why}; looked up again in {pause.total_seconds():g} s"
    run.mark(claim.step, RESOLVING, again, tries=claim.tries)
    await workflow.sleep(pause, summary=f"look up {claim.step}")


def _doubt(error: ActivityError, asked: Asked | None) -> str:
    """Why nobody can tell the outcome. Raises what is known to have failed."""
    if isinstance(error.cause, ApplicationError) and error.cause.type == UNKNOWN:
        return words_of(error)
    if not is_cancelled_exception(error):
        _told(asked)
    raise error


def _told(asked: Asked | None) -> None:
    """What the person said is on record."""
    if asked is not None and not asked.answered:
        asked.answer()
