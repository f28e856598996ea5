"""A run of a saga: its identity, what people see of it, and how its activities are called."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributeUpdate
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    RetryState,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as TimedOut
from temporalio.workflow import ActivityCancellationType

from activities import errors
from activities.errors import ATTEMPT_NUMBER, OUTSIDE_TRY, UNAVAILABLE_NOW
from activities.step import Claim
from ledger.sagas.saga_log import Opening
from ledger.sagas.signatures import Signed
from ledger.words import summary_of
from workflows.contract.progress import Progress
from workflows.contract.updates import By
from workflows.contract.waits import StepProgress, Wait, step_wait
from workflows.engine.lifecycle import Lifecycle, LifecycleEvent
from workflows.engine.live_details import page, refusal_page
from workflows.engine.waiting import Waiting

Answer = TypeVar("Answer")

KIND = SearchAttributeKey.for_keyword("SagaKind")
STATE = SearchAttributeKey.for_keyword("SagaState")
STEP = SearchAttributeKey.for_keyword("SagaStep")
ACTOR = SearchAttributeKey.for_keyword("SagaActor")
SUBJECTS = SearchAttributeKey.for_keyword_list("SagaSubjects")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("SagaNeedsAttention")

# States of a step that become the saga's.
RESOLVING, ATTENTION = "resolving", "needs_attention"
# What is tried again, an undo or a step past the pivot, and had no success in so many tries, shows
# in `SagaStep`: about two seconds of answers that are a no, or the first quarter of a minute in
# which a server is away.
SHOWN_AFTER = 3

# A search attribute over 2,048 bytes makes the server terminate the workflow.
MAX_SUBJECTS_BYTES = 1_500

# Of Temporal's retries.
WITHOUT_END = 0
# A commit takes milliseconds; ten seconds is a database that hangs. A retry that waits on a timer
# costs six events: at one in five minutes the history lasts for a month.
OURS_TRY = timedelta(seconds=10)
OURS_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(minutes=5)
)
# A pause longer than this leaves the workflow task and becomes a timer on the server.
OURS_LONGEST_PAUSE = timedelta(seconds=2)
OUTSIDE_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30)
)


class SagaRun:
    """The state of a saga in this run: its epoch, its steps, its page."""

    def __init__(
        self, opening: Opening, subjects: list[str], lifecycle: Lifecycle, about: list[str]
    ) -> None:
        self.saga_id = opening.saga_id
        # Of the page: what is asked for, the plan made of it, and why the saga is compensated.
        self._about, self.cause = about, ""
        self.planned: list[str] = []
        # Who no longer wants what was asked for, once its outcome alone decides.
        self.withdrawn_by: By | None = None
        # Whether the operation id is that of another request.
        self.is_reused = False
        self.opening, self.lifecycle = opening, lifecycle
        self.actor, self.context = opening.actor, dict(opening.context)
        self.epoch, self.ordinal = 0, 0
        # The request as it is on record, once that is known.
        self.admitted: dict[str, Any] | None = None
        self.progress = Progress(
            saga_id=self.saga_id,
            kind=opening.kind,
            state=lifecycle.state,
            unsigned=opening.signed is None,
        )
        self._steps: dict[str, StepProgress] = {}
        # The decision that the story waits for, however its steps stand.
        self._wait: Wait | None = None
        self.waiting = Waiting()
        # What was signed, by its signature.
        self.heard: dict[str, Signed] = {}
        # Whether an update came that nobody signed.
        self.heard_unsigned = False
        self._publish(
            KIND.value_set(opening.kind),
            STATE.value_set("running"),
            ACTOR.value_set(self.actor),
            SUBJECTS.value_set(shortened(subjects)),
            NEEDS_ATTENTION.value_set(False),
        )

    def keep(self, admitted: dict[str, Any] | None) -> None:
        """Keep the request as it is on record, from an answer that tells it; one of an older
        version does not."""
        if admitted is not None:
            self.admitted = admitted

    def know_unsigned(self, recorded: bool | None) -> None:
        """Keep whether the saga is unsigned, by its record, which has what other runs of it
        heard; None where there is no other."""
        if recorded is not None:
            self.show(unsigned=recorded or self.heard_unsigned)

    def introduce(self, actor: str, subjects: list[str], about: list[str]) -> None:
        """Publish who asks and about what, of a request that is on record and that the rules of
        today would not admit: what is not admitted is published nowhere."""
        self._about = about
        self._publish(ACTOR.value_set(actor), SUBJECTS.value_set(shortened(subjects)))

    def told(self, result: dict[str, Any]) -> dict[str, Any]:
        """The result as it is recorded: it says so where nobody signed."""
        return {**result, "unsigned": True} if self.progress.unsigned else result

    def enter(self, event: LifecycleEvent, **changed: Any) -> None:
        """Enter the next phase, and show it. Raises ApplicationError `invalid_transition`."""
        self.lifecycle.on(event)
        self.show(**changed)

    def show(self, **changed: Any) -> None:
        """Update what people see; the search attributes only when the state or the wait changes."""
        before = self.progress
        state, waits_for = self._standing()
        waits = self._waits()
        changed |= {"state": state, "waits_for": waits_for, "waits": waits}
        changed["steps"] = list(self._steps.values())
        self.progress = before.model_copy(update=changed)
        updates: list[SearchAttributeUpdate[Any]] = []
        if (listed := _listed(self.progress)) != _listed(before):
            updates.append(STATE.value_set(listed))
        if waits_for != before.waits_for:
            updates.append(STEP.value_set(waits_for))
        if (needed := _is_needed(waits)) != _is_needed(before.waits):
            updates.append(NEEDS_ATTENTION.value_set(needed))
        self._publish(*updates)

    def _publish(self, *updates: SearchAttributeUpdate[Any]) -> None:
        if updates:
            workflow.upsert_search_attributes(updates)
        if self.is_reused:
            workflow.set_current_details(refusal_page(self.progress))
        else:
            shown = page(self.progress, self._about, self.cause, self.planned)
            workflow.set_current_details(shown)

    def mark(self, name: str, state: str, detail: str | None = None, **more: Any) -> None:
        """Mark a step with its state, a detail, and more of StepProgress. A step in doubt, or one
        that needs an operator, decides the state of the saga too."""
        known = self._steps.get(name)
        since = known.since if known and known.state == state else workflow.now()
        self._steps[name] = StepProgress(
            name=name, state=cast(Any, state), detail=detail, since=since, **more
        )
        self.show()

    def forget(self, name: str) -> None:
        """Remove a step that was not tried after all."""
        del self._steps[name]
        self.show()

    def look_up_no_more(self) -> None:
        """Mark every step in doubt as unknown: its undo finds out."""
        for step in list(self._steps.values()):
            if step.state in (ATTENTION, RESOLVING):
                self.mark(step.name, "unknown")

    def _standing(self) -> tuple[str, str]:
        """The state that people see, and what the saga waits for: those of its worst steps."""
        steps = self._steps.values()
        for state in (ATTENTION, RESOLVING):
            if stuck := [step.name for step in steps if step.state == state]:
                return state, ", ".join(shortened(stuck))
        trying = [step for step in steps if step.state in ("undoing", "running")]
        again = [step.name for step in trying if step.tries >= SHOWN_AFTER]
        is_over = self.lifecycle.state in ("completed", "compensated", "failed")
        waits_for = self._wait.waits_for if self._wait and not is_over else ""
        return self.lifecycle.state, ", ".join(shortened(again)) or waits_for

    def _waits(self) -> list[Wait]:
        """What the saga waits for: a decision, and the steps that can't get on alone."""
        if self.lifecycle.has_ended:
            return []
        stuck = [
            step
            for step in self._steps.values()
            if step.state in (ATTENTION, RESOLVING)
            or (step.state == "undoing" and step.tries >= SHOWN_AFTER)
        ]
        undoing = self.lifecycle.is_compensating
        of_steps = [step_wait(self.saga_id, step, undoing=undoing) for step in stuck]
        return [wait for wait in [self._wait, *of_steps] if wait]

    def claim(self, actor: str | None = None, decision: Signed | None = None) -> Claim:
        """The claim of this run for an activity; `actor` is who wanted it, unless it is who asked
        for the saga, and `decision` what they signed."""
        return Claim(
            saga_id=self.saga_id,
            epoch=self.epoch,
            actor=actor or self.actor,
            decision=decision,
            withdrawn=self.withdrawn_by is not None,
            context=self.context,
        )

    def signed(self, by: By) -> Signed | None:
        """The signed decision of a person or an agent; None where they did not sign."""
        return self.heard.get(by.signature.value) if by.signature else None

    async def ours(
        self,
        activity: Callable[..., Awaitable[Answer]] | str,
        *args: Any,
        summary: str,
        result_type: type[Answer] | None = None,
        tries: int = WITHOUT_END,
    ) -> Answer:
        """Call an activity that only touches our database: a local one. Its failure comes as
        ActivityError, like that of an external call. `tries`: at most so many at once."""
        while True:
            try:
                answer: Answer = await workflow.execute_local_activity(
                    cast(str, activity),
                    args=args,
                    result_type=result_type,
                    start_to_close_timeout=OURS_TRY,
                    local_retry_threshold=OURS_LONGEST_PAUSE,
                    retry_policy=replace(OURS_RETRIES, maximum_attempts=tries),
                    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                    summary=summary_of(summary),
                )
            except (ApplicationError, TimedOut) as error:
                raise _as_ordinary(error, summary) from error
            except FailureError as error:
                # A worker that loses a workflow task gives up what runs in it, and the next run of
                # that task may be told of it. Nobody cancelled the saga: a repeat does no harm.
                if not is_cancelled_exception(error) or is_cancelled():
                    raise
            else:
                return answer

    async def outside(
        self,
        activity: Callable[..., Awaitable[Answer]] | str,
        *args: Any,
        summary: str,
        result_type: type[Answer] | None = None,
        tries: int = WITHOUT_END,
        within: timedelta = OUTSIDE_TRY,
    ) -> Answer:
        """Call an activity that calls an external system: visible in the Web UI, with heartbeats,
        retried while the system is away. `tries`: at most so many at once."""
        answer: Answer = await workflow.execute_activity(
            cast(str, activity),
            args=args,
            result_type=result_type,
            start_to_close_timeout=within,
            heartbeat_timeout=errors.HEARTBEAT,
            retry_policy=replace(OUTSIDE_RETRIES, maximum_attempts=tries),
            # What runs is awaited: its outcome must be on record before the undo reads it.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=summary_of(summary),
        )
        return answer


def heed_cancel() -> None:
    """Raise the pending cancel of the calling task. An activity that ended in spite of a cancel
    gives its answer or its failure, and the SDK then forgets the cancel."""
    if is_cancelled():
        raise asyncio.CancelledError


def is_cancelled() -> bool:
    """Whether the calling task was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _as_ordinary(error: ApplicationError | TimedOut, summary: str) -> ActivityError:
    """Wrap the failure of a local activity in ActivityError, as the SDK does for an ordinary one,
    or one `except` would miss half of them."""
    return ActivityError(
        f"{summary}: {error.message}",
        scheduled_event_id=0,
        started_event_id=0,
        identity="",
        activity_type="",
        activity_id="",
        retry_state=RetryState.NON_RETRYABLE_FAILURE,
    )


def cause_of(error: ActivityError) -> str:
    """The word for the failure: the reason an activity gave, else the type of its failure."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        if cause.type in ("refused", "failed") and cause.details:
            return str(cause.details[0])
        return cause.type or "failed"
    return type(cause).__name__


def is_final(error: ActivityError) -> bool:
    """Whether a repeat at once would fail again."""
    return isinstance(error.cause, ApplicationError) and error.cause.non_retryable


def tries_of(error: ActivityError) -> int:
    """How often an activity was tried until it failed so: also beyond the most that it may be, as
    Temporal does after a pause."""
    told = [each for each in getattr(error.cause, "details", ()) if isinstance(each, dict)]
    counted = int(told[-1].get(ATTEMPT_NUMBER, 1)) if told else 1
    return counted if is_final(error) else max(counted, errors.TRIES_AT_ONCE)


def is_away(error: ActivityError) -> bool:
    """Whether there was no answer: a server is away or busy, or an attempt was cut off."""
    return not isinstance(error.cause, ApplicationError) or error.cause.type == UNAVAILABLE_NOW


def words_of(error: ActivityError) -> str:
    """The sentence that says to people what failed. The words of errors are ours: see
    `activities.errors`."""
    cause = error.cause
    message = cause.message if isinstance(cause, FailureError) else ""
    return " ".join(message.split())[:200] or cause_of(error)


def _is_needed(waits: list[Wait]) -> bool:
    """Whether somebody has to act, and it is known who."""
    return any(wait.whom for wait in waits)


def _listed(progress: Progress) -> str:
    """The state in the list of the Web UI: `running` from its first moment, before the saga is
    open, and `repeated` for a run that answers from the record of a saga."""
    if progress.repeated:
        return "repeated"
    return "running" if progress.state == "pending" else progress.state


def shortened(subjects: list[str]) -> list[str]:
    """Names for a search attribute: at most 1,500 bytes, then cut and marked `+N more`."""
    kept: list[str] = []
    size = 0
    for subject in subjects:
        size += len(subject.encode()) + 3
        if size > MAX_SUBJECTS_BYTES:
            return [*kept, f"+{len(subjects) - len(kept)} more"]
        kept.append(subject)
    return kept
