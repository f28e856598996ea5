"""A call whose outcome nobody knows: looked up with growing pauses, then told by a person."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.errors import UNKNOWN
from activities.step import Claim, Request
from activities.step_records import Doubt, StepRecords
from workflows.help import ask, note, verdict_of
from workflows.saga_run import RESOLVING, SagaRun, heed_cancel

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
    pause, since = FIRST_PAUSE, workflow.now()
    while True:
        try:
            return await run.outside(activity, claim, request, summary=claim.step)
        except ActivityError as error:
            if not isinstance(error.cause, ApplicationError) or error.cause.type != UNKNOWN:
                raise
            why = error.cause.message
        # The undo finds out by itself, and need not know how it stands.
        heed_cancel()
        claim = claim.model_copy(update={"tries": claim.tries + 1, "verdict": None})
        if claim.tries == 1:
            doubt = Doubt(reason=why)
            await run.ours(StepRecords.note_unknown, claim, doubt, summary="outcome unknown")
            heed_cancel()
        if workflow.now() - since < tell_within:
            run.mark(claim.step, RESOLVING, f"{why}; looked up again in {pause}")
            await workflow.sleep(pause, summary=f"look up {claim.step}")
            pause = longer(pause)
            continue
        asked = await ask(run, claim, why, undoing=False, outside=True)
        await note(run, claim, asked, undoing=False)
        heed_cancel()
        claim = claim.model_copy(update={"verdict": verdict_of(asked)})
        run.mark(claim.step, RESOLVING)
        pause, since = FIRST_PAUSE, workflow.now()
