"""The one place that knows how to carry a saga, and how to undo it.

A story is made of steps (`step`: only our database) and calls (`call`: the outside), each with its
undo, which is on record before the outside is called. To undo, the saga raises its epoch, reads
from the ledger what was started, and undoes it in reverse order of start, without end. What to
undo never comes from memory: a replayed workflow may not know what its activities committed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributeUpdate
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    RetryState,
    is_cancelled_exception,
)
from temporalio.workflow import ActivityCancellationType

from activities.errors import HEARTBEAT, IN_PROGRESS, OUTSIDE_TRY, REUSED
from activities.saga_records import (
    Ending,
    OpenSaga,
    OtherRun,
    Repeat,
    SagaActivities,
    SagaOpened,
    StepToUndo,
    Turn,
    Turned,
)
from activities.step import Claim, Request
from ledger.saga_claims import End
from ledger.saga_steps import StepUndone, UndoPlan
from workflows.inputs import Progress, StepProgress
from workflows.page import page

Answer = TypeVar("Answer")
Activity = Callable[[Any, Claim, Any], Awaitable[Answer]]

KIND = SearchAttributeKey.for_keyword("SagaKind")
STATE = SearchAttributeKey.for_keyword("SagaState")
STEP = SearchAttributeKey.for_keyword("SagaStep")
ACTOR = SearchAttributeKey.for_keyword("SagaActor")
SUBJECTS = SearchAttributeKey.for_keyword_list("SagaSubjects")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("SagaNeedsAttention")

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
# An undo that was refused for good is tried again: a person may have mended the cause. Each try
# costs a dozen events, so that at one an hour the history lasts for half a year.
UNDO_AGAIN, UNDO_AGAIN_AT_MOST = timedelta(seconds=30), timedelta(hours=1)


class Saga:
    """One saga: its record in the ledger, its steps, its undo, and what people see of it."""

    def __init__(self, kind: str, actor: str, subjects: list[str], context: dict[str, Any]) -> None:
        self.saga_id = workflow.info().workflow_id
        self.actor, self.context = actor, context
        self.epoch, self.ordinal = 0, 0
        # Somebody cancelled the story: the step that runs is its last one.
        self.cancelled = False
        self.progress = Progress(saga_id=self.saga_id, kind=kind, state="pending")
        self._steps: dict[str, StepProgress] = {}
        self._show(
            KIND.value_set(kind),
            STATE.value_set("running"),
            ACTOR.value_set(actor),
            SUBJECTS.value_set(shortened(subjects)),
            NEEDS_ATTENTION.value_set(False),
        )

    async def open(self, request: OpenSaga) -> SagaOpened:
        """Claim the operation id, or take over what a closed run left open.

        Raises ApplicationError `operation_id_reused`, `operation_in_progress`.
        """
        opened = await self._ours(SagaActivities.open_saga, request, summary="open the saga")
        if opened.how == "reused":
            raise reused(self.saga_id)
        if opened.how == "other_run":
            opened = await self._take_over(request, opened)
        self.epoch, self.ordinal = opened.epoch, opened.last_ordinal
        self.show(state=opened.state)
        return opened

    async def _take_over(self, request: OpenSaga, opened: SagaOpened) -> SagaOpened:
        other = OtherRun(namespace=opened.namespace, run_id=opened.run_id, epoch=opened.epoch)
        still_open = await workflow.execute_activity_method(
            SagaActivities.is_run_open,
            other,
            start_to_close_timeout=OUTSIDE_TRY,
            retry_policy=OUTSIDE_RETRIES,
            summary="look at the run that has this saga",
        )
        if still_open:
            raise in_progress(self.saga_id)
        try:
            return await self._ours(
                SagaActivities.take_over, self._claim(), other, summary="take the saga over"
            )
        except ActivityError as error:
            if cause_of(error) != "Fenced":
                raise
        # An attempt of the closed run was still under way and has ended the saga meanwhile.
        opened = await self._ours(SagaActivities.open_saga, request, summary="open it again")
        if opened.how == "other_run":
            raise in_progress(self.saga_id)
        return opened

    async def step(
        self,
        name: str,
        activity: Activity[Answer],
        request: Request,
        *,
        undo: Activity[StepUndone] | None = None,
        by: str | None = None,
    ) -> Answer:
        """A step that only touches our database: one commit, as a local activity."""
        claim = self._next(name, request, undo, False, by)
        return await self._watch(name, self._ours(activity, claim, request, summary=name))

    async def call(
        self,
        name: str,
        activity: Activity[Answer],
        request: Request,
        *,
        undo: Activity[StepUndone] | None = None,
        by: str | None = None,
    ) -> Answer:
        """A step that calls the outside: its undo is on record before the call."""
        claim = self._next(name, request, undo, True, by)
        return await self._watch(
            name,
            workflow.execute_activity(
                activity,
                args=[claim, request],
                start_to_close_timeout=OUTSIDE_TRY,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=OUTSIDE_RETRIES,
                # What runs is awaited: its outcome must be on record before the undo reads it.
                cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=name,
            ),
        )

    async def read(self, activity: Callable[..., Awaitable[Answer]], *args: Any) -> Answer:
        """Read from our database; no step of the saga."""
        return await self._ours(activity, *args, summary="read")

    async def turn_round(self, turn: Turn, actor: str) -> Turned:
        """Undo everything that was started, and say what that was. Returns when all is undone."""
        turned = await self._ours(
            SagaActivities.begin_compensation, self._claim(actor), turn, summary="turn round"
        )
        self.epoch = turned.epoch
        if turned.state == "compensating":
            self.show(state="compensating", reason=turned.cause)
        residuals = list(turned.residuals)
        for step in turned.steps:
            undone = await self._undo(step, actor)
            residuals += [undone.residual] if undone.residual else []
        return turned.model_copy(update={"residuals": residuals})

    async def _undo(self, step: StepToUndo, actor: str) -> StepUndone:
        claim = self._claim(actor).model_copy(update={"step": step.name, "ordinal": step.ordinal})
        self._mark(step.name, "undoing")
        pause = UNDO_AGAIN
        while True:
            try:
                undone = await self._run_undo(claim, step.undo)
            except ActivityError as error:
                if not isinstance(error.cause, ApplicationError) or error.cause.type == "Fenced":
                    raise
                self._mark(step.name, "undoing", f"{cause_of(error)}; tried again in {pause}")
                await workflow.sleep(pause, summary=f"undo {step.name} again")
                pause = min(2 * pause, UNDO_AGAIN_AT_MOST)
            else:
                self._mark(step.name, "undone", undone.residual or undone.note)
                return undone

    async def _run_undo(self, claim: Claim, undo: UndoPlan) -> StepUndone:
        undone: StepUndone
        if undo.outside:
            undone = await workflow.execute_activity(
                undo.activity,
                args=[claim, undo.request],
                result_type=StepUndone,
                start_to_close_timeout=OUTSIDE_TRY,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=OUTSIDE_RETRIES,
                summary=f"undo {claim.step}",
            )
            return undone
        return await self._ours(
            undo.activity,
            *(claim, undo.request),
            summary=f"undo {claim.step}",
            result_type=StepUndone,
        )

    async def close(
        self, end: End, result: dict[str, Any], actor: str | None = None
    ) -> dict[str, Any]:
        """End the saga; returns the result that stands, which is the first one."""
        ending = Ending(end=end, result=result)
        stands = await self._ours(
            SagaActivities.close_saga, self._claim(actor), ending, summary="close the saga"
        )
        self.show(state=end, result=stands)
        return stands

    async def record_repeat(self, fingerprint: str, repeat: str) -> SagaOpened:
        """The same request, or another one under its id, came while the saga runs."""
        request = Repeat(fingerprint=fingerprint, repeat=repeat)
        return await self._ours(
            SagaActivities.record_repeat, self._claim(), request, summary="record a repeat"
        )

    def show(self, **changed: Any) -> None:
        """Change what people see: the search attributes only when the state or the wait change."""
        before = self.progress
        self.progress = before.model_copy(update=changed)
        updates: list[SearchAttributeUpdate[Any]] = []
        # It showed as `running` from its first moment, before it was open.
        shown = "running" if before.state == "pending" else before.state
        if self.progress.state != shown:
            updates.append(STATE.value_set(self.progress.state))
        if self.progress.waits_for != before.waits_for:
            updates.append(STEP.value_set(self.progress.waits_for))
        self._show(*updates)

    def _show(self, *updates: SearchAttributeUpdate[Any]) -> None:
        if updates:
            workflow.upsert_search_attributes(updates)
        self.progress = self.progress.model_copy(update={"steps": list(self._steps.values())})
        workflow.set_current_details(page(self.progress))

    def _mark(self, name: str, state: str, detail: str | None = None) -> None:
        self._steps[name] = StepProgress.model_validate(
            {"name": name, "state": state, "detail": detail}
        )
        self._show()

    def _claim(self, actor: str | None = None) -> Claim:
        return Claim(
            saga_id=self.saga_id,
            epoch=self.epoch,
            actor=actor or self.actor,
            context=self.context,
        )

    def _next(
        self,
        name: str,
        request: Request,
        undo: Activity[StepUndone] | None,
        outside: bool,
        by: str | None,
    ) -> Claim:
        self.ordinal += 1
        plan = undo and UndoPlan(
            activity=undo.__name__, request=request.model_dump(mode="json"), outside=outside
        )
        changed = {"step": name, "ordinal": self.ordinal, "undo": plan}
        return self._claim(by).model_copy(update=changed)

    async def _watch(self, name: str, work: Awaitable[Answer]) -> Answer:
        self._mark(name, "running")
        try:
            answer = await work
        except ActivityError as error:
            cause = error.cause
            refused = isinstance(cause, ApplicationError) and cause.type == "refused"
            if not is_cancelled_exception(error):
                self._mark(name, "refused" if refused else "failed", cause_of(error))
            raise
        self._mark(name, "done")
        if self.cancelled:
            # An activity that ended in spite of the cancel gives its result, and the SDK then
            # forgets the cancel.
            raise asyncio.CancelledError
        return answer

    async def _ours(
        self,
        activity: Callable[..., Awaitable[Answer]] | str,
        *args: Any,
        summary: str,
        result_type: type[Answer] | None = None,
    ) -> Answer:
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


def reused(saga_id: str) -> ApplicationError:
    """The failure of another request under a known operation id."""
    return ApplicationError(
        f"{saga_id} was claimed by another request: use a new operation id",
        type=REUSED,
        non_retryable=True,
    )


def in_progress(saga_id: str) -> ApplicationError:
    """The failure of a run that meets another one which is still open."""
    return ApplicationError(
        f"{saga_id} is carried by another run that is still open: follow that one",
        type=IN_PROGRESS,
        non_retryable=True,
    )


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
