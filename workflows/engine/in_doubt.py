"""Resolves a call whose outcome is in doubt: looks it up with growing pauses, then asks an
operator."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities import errors
from activities.errors import AGAIN_IN_S, FOR_EVER, UNKNOWN
from activities.step import Claim, Request
from activities.step_records import Doubt, StepRecords
from ledger.words import summary_of
from workflows.engine.decisions import Asked, not_allowed
from workflows.engine.escalation import as_told, ask
from workflows.engine.retry import FIRST_PAUSE, longer, persist
from workflows.engine.run import RESOLVING, SagaRun, heed_cancel, is_final, words_of

Answer = TypeVar("Answer")

# An outcome that stays in doubt for so long is escalated to an operator.
TELL_WITHIN = timedelta(days=1)
# Runs that an operator's `retry` left in doubt before this was there have that doubt not on record.
_NOTED_AGAIN = "doubt-after-retry-on-record"


async def until_known(
    run: SagaRun,
    activity: Callable[[Any, Claim, Any], Awaitable[Answer]],
    claim: Claim,
    request: Request,
    tell_within: timedelta,
    *,
    takes_no: bool = False,
) -> Answer:
    """The answer of an activity that finds out, when it is called again, the outcome of its call.

    Raises what it fails with, once that is known; past the pivot only where the story `takes_no`
    for an answer.
    """

    def call(claim: Claim) -> Awaitable[Answer]:
        return run.outside(activity, claim, request, summary=claim.step, tries=errors.TRIES_AT_ONCE)

    asked: Asked | None = None
    # Of the time to tell, none has passed while the call was only retried.
    pause, until = FIRST_PAUSE, None
    plain, tries = claim, 0
    while True:
        # What a person said is carried out, however long that takes.
        looks_up = tries > 0 and claim.verdict is None
        try:
            answer = await (
                call(claim) if looks_up else persist(run, claim, call, takes_no=takes_no)
            )
        except ActivityError as error:
            why, news = _doubt(error, asked, looks_up), _news(error)
        else:
            _told(asked, "done")
            return answer
        # The undo finds out by itself, and need not know how it stands.
        heed_cancel()
        tries += 1
        claim = plain.model_copy(update={"tries": tries})
        if tries == 1 or (until is None and workflow.patched(_NOTED_AGAIN)):
            doubt = Doubt(reason=why, until=workflow.now() + tell_within)
            until = await run.ours(
                StepRecords.note_unknown, claim, doubt, summary="outcome unknown"
            )
            heed_cancel()
        # An older version noted no deadline.
        until = until or workflow.now() + tell_within
        if workflow.now() < until and not news.get(FOR_EVER):
            again_in = timedelta(seconds=float(news.get(AGAIN_IN_S, 0)))
            await _pause(run, claim, why, max(pause, again_in), until)
            pause = longer(pause)
            continue
        asked = await ask(run, claim, why, undoing=False, outside=True)
        claim = await as_told(run, claim, asked, undoing=False)
        heed_cancel()
        run.mark(claim.step, RESOLVING, why, tries=tries)
        pause, until = FIRST_PAUSE, None


async def _pause(run: SagaRun, claim: Claim, why: str, pause: timedelta, until: datetime) -> None:
    """Wait before the next look-up; the last pause ends when an operator is to be asked."""
    pause = min(pause, until - workflow.now())
    again = f"{why}; looked up again in {pause.total_seconds():g} s"
    run.mark(claim.step, RESOLVING, again, tries=claim.tries, until=until)
    await workflow.sleep(pause, summary=summary_of(f"look up {claim.step}"))


def _doubt(error: ActivityError, asked: Asked | None, looks_up: bool) -> str:
    """The reason why the outcome is in doubt: unknown to the external system, or that system is
    away. Raises a failure whose outcome is known."""
    unknown = isinstance(error.cause, ApplicationError) and error.cause.type == UNKNOWN
    cancelled = is_cancelled_exception(error)
    if unknown or (looks_up and not is_final(error) and not cancelled):
        return words_of(error)
    if not cancelled:
        _told(asked, "failed")
    raise error


def _news(error: ActivityError) -> dict[str, Any]:
    """When the outcome is worth another look, where the activity told."""
    details = error.cause.details if isinstance(error.cause, ApplicationError) else ()
    return {name: told for each in details if isinstance(each, dict) for name, told in each.items()}


def _told(asked: Asked | None, how: str) -> None:
    """Answer the operator: their outcome is recorded, unless an attempt was quicker and knew
    better."""
    if asked is None or asked.answered:
        return
    if asked.outcome in (None, how):
        asked.answer()
    else:
        asked.answer(not_allowed(f"can't resolve it as {asked.outcome}: by now it is {how}"))
