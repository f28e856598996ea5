"""A run of a saga: who carries it, what people see of it, and how its activities are called."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, RetryState
from temporalio.workflow import ActivityCancellationType

from activities.errors import HEARTBEAT, OUTSIDE_TRY
from activities.step import Claim
from workflows.attention import Waiting
from workflows.inputs import Progress, StepProgress
from workflows.page import page

Answer = TypeVar("Answer")

KIND = SearchAttributeKey.for_keyword("SagaKind")
STATE = SearchAttributeKey.for_keyword("SagaState")
STEP = SearchAttributeKey.for_keyword("SagaStep")
ACTOR = SearchAttributeKey.for_keyword("SagaActor")
SUBJECTS = SearchAttributeKey.for_keyword_list("SagaSubjects")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("SagaNeedsAttention")

# States of a step that become the saga's.
RESOLVING, ATTENTION = "resolving", "needs_attention"

# A search attribute over 2,048 bytes makes the server terminate the workflow.
MAX_SUBJECTS_BYTES = 1_500

# A commit takes milliseconds; ten seconds is a database that hangs.
OURS_TRY = timedelta(seconds=10)
OURS_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=30)
)
# A pause longer than this leaves the workflow task and becomes a timer on the server.
OURS_LONGEST_PAUSE = timedelta(seconds=2)
OUTSIDE_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30)
)


class SagaRun:
    """What a saga is in this run: its epoch, its steps, its page."""

    def __init__(self, kind: str, actor: str, subjects: list[str], context: dict[str, Any]) -> None:
        self.saga_id = workflow.info().workflow_id
        self.actor, self.context = actor, context
        self.epoch, self.ordinal = 0, 0
        self.progress = Progress(saga_id=self.saga_id, kind=kind, state="pending")
        self._steps: dict[str, StepProgress] = {}
        # What its record says, whatever it waits for at the moment.
        self.phase = "running"
        self._is_stuck = False
        self.waiting = Waiting()
        self._show(
            KIND.value_set(kind),
            STATE.value_set("running"),
            ACTOR.value_set(actor),
            SUBJECTS.value_set(shortened(subjects)),
            NEEDS_ATTENTION.value_set(False),
        )

    def show(self, **changed: Any) -> None:
        """Change what people see: the search attributes only when the state or the wait change."""
        self.phase = changed.get("state", self.phase)
        before = self.progress
        self.progress = before.model_copy(update=changed)
        updates: list[SearchAttributeUpdate[Any]] = []
        # It showed as `running` from its first moment, before it was open.
        shown = "running" if before.state == "pending" else before.state
        if self.progress.state != shown:
            updates.append(STATE.value_set(self.progress.state))
        if self.progress.waits_for != before.waits_for:
            updates.append(STEP.value_set(self.progress.waits_for))
        needs = [state == ATTENTION for state in (self.progress.state, shown)]
        if needs[0] != needs[1]:
            updates.append(NEEDS_ATTENTION.value_set(needs[0]))
        self._show(*updates)

    def _show(self, *updates: SearchAttributeUpdate[Any]) -> None:
        if updates:
            workflow.upsert_search_attributes(updates)
        self.progress = self.progress.model_copy(update={"steps": list(self._steps.values())})
        workflow.set_current_details(page(self.progress))

    def mark(self, name: str, state: str, detail: str | None = None) -> None:
        """How a step stands. One that nobody can tell, or that needs a person, is how the saga
        stands too."""
        self._steps[name] = StepProgress.model_validate(
            {"name": name, "state": state, "detail": detail}
        )
        for standing in (ATTENTION, RESOLVING):
            stuck = [step.name for step in self._steps.values() if step.state == standing]
            if stuck:
                phase, self._is_stuck = self.phase, True
                self.show(state=standing, waits_for=", ".join(stuck))
                self.phase = phase
                return
        if self._is_stuck:
            self._is_stuck = False
            self.show(state=self.phase, waits_for="")
        else:
            self._show()

    def claim(self, actor: str | None = None) -> Claim:
        """What an activity of this run gets; `actor` is who wanted it, if not who asked for all."""
        return Claim(
            saga_id=self.saga_id,
            epoch=self.epoch,
            actor=actor or self.actor,
            context=self.context,
        )

    async def ours(
        self,
        activity: Callable[..., Awaitable[Answer]] | str,
        *args: Any,
        summary: str,
        result_type: type[Answer] | None = None,
    ) -> Answer:
        """An activity that only touches our database: a local one. What fails in it comes as
        ActivityError, like what fails outside."""
        try:
            answer: Answer = await workflow.execute_local_activity(
                cast(str, activity),
                args=args,
                result_type=result_type,
                start_to_close_timeout=OURS_TRY,
                local_retry_threshold=OURS_LONGEST_PAUSE,
                retry_policy=OURS_RETRIES,
                cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=summary,
            )
        except ApplicationError as error:
            raise _as_ordinary(error, summary) from error
        return answer

    async def outside(
        self,
        activity: Callable[..., Awaitable[Answer]] | str,
        *args: Any,
        summary: str,
        result_type: type[Answer] | None = None,
    ) -> Answer:
        """An activity that calls the outside: visible in the Web UI, with heartbeats, retried while
        the outside is away."""
        answer: Answer = await workflow.execute_activity(
            cast(str, activity),
            args=args,
            result_type=result_type,
            start_to_close_timeout=OUTSIDE_TRY,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=OUTSIDE_RETRIES,
            # What runs is awaited: its outcome must be on record before the undo reads it.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=summary,
        )
        return answer


def heed_cancel() -> None:
    """Raise the cancel of whoever calls. An activity that ended in spite of one gives its answer or
    its failure, and the SDK then forgets the cancel."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _as_ordinary(error: ApplicationError, summary: str) -> ActivityError:
    """The SDK wraps the failure of an ordinary activity and leaves that of a local one bare; here
    both come as ActivityError, or one `except` would miss half of them."""
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
    """The word for what went wrong: the reason an activity gave, else the type of its failure."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        if cause.type in ("refused", "failed") and cause.details:
            return str(cause.details[0])
        return cause.type or "failed"
    return type(cause).__name__


def shortened(subjects: list[str]) -> list[str]:
    """The subjects as a search attribute: at most 1,500 bytes, then cut and marked `+N more`."""
    kept: list[str] = []
    size = 0
    for subject in subjects:
        size += len(subject.encode()) + 3
        if size > MAX_SUBJECTS_BYTES:
            return [*kept, f"+{len(subjects) - len(kept)} more"]
        kept.append(subject)
    return kept
