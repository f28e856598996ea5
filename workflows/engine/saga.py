"""The one place that knows how to carry a saga, and how to undo it.

A story is made of steps (`step`: only our database) and calls (`call`: the outside), each with its
undo, which is on record before the outside is called. To undo, the saga raises its epoch, reads
from the ledger what was started, and undoes it in reverse order of start, side by side what ran
side by side. What to undo never comes from memory: a replayed workflow may not know what its
activities committed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.errors import IN_PROGRESS, OUTSIDE_TRY, REUSED, TRIES_AT_ONCE
from activities.saga_records import (
    Ending,
    OtherRun,
    Repeat,
    SagaActivities,
    SagaOpened,
    StepToUndo,
    Turn,
    Turned,
)
from activities.step import Claim, OpenSaga, Request
from ledger.aggregates.saga_step import FOR_EVER, StepUndone, UndoPlan, UndoPolicy
from ledger.sagas.saga_log import End
from ledger.sagas.step_log import SAGA_KNOWN
from workflows.engine.compensation import Undone, undo_step
from workflows.engine.in_doubt import TELL_WITHIN, until_known
from workflows.engine.retry import persist
from workflows.engine.run import OUTSIDE_RETRIES, SagaRun, cause_of, heed_cancel

# Of a saga that is new.
FIRST_EPOCH = 1

Answer = TypeVar("Answer")
Activity = Callable[[Any, Claim, Any], Awaitable[Answer]]


class OpenedBefore(Exception):
    """The saga is known: it has ended, or it is being undone."""

    def __init__(self, opened: SagaOpened) -> None:
        super().__init__(opened.state)
        self.opened = opened


class Saga(SagaRun):
    """One saga: its record in the ledger, its steps, its undo.

    `opening` is what its first step opens it with; `open` does that without a step.
    """

    def __init__(self, opening: OpenSaga, subjects: list[str]) -> None:
        super().__init__(opening.kind, opening.actor, subjects, dict(opening.context))
        self._opening = opening
        self.is_open = self.is_closed = False
        # The steps under way, by ordinal.
        self._running: list[int] = []

    async def open(self) -> SagaOpened:
        """Claim the operation id, or take over what a closed run left open.

        Raises ApplicationError `operation_id_reused`, `operation_in_progress`.
        """
        request = self._opening
        opened = await self.ours(SagaActivities.open_saga, request, summary="open the saga")
        if opened.how == "reused":
            raise reused(self.saga_id)
        if opened.how == "other_run":
            opened = await self._take_over(opened)
        self._is_opened(opened.state, opened.epoch, opened.last_ordinal)
        return opened

    def _is_opened(self, state: str, epoch: int, last_ordinal: int) -> None:
        self.is_open, self.epoch, self.ordinal = True, epoch, last_ordinal
        self.show(state=state)

    async def _take_over(self, opened: SagaOpened) -> SagaOpened:
        other = OtherRun(
            namespace=opened.namespace,
            namespace_id=opened.namespace_id,
            run_id=opened.run_id,
            epoch=opened.epoch,
            lost=opened.lost,
        )
        # Asked of a lost run too, which has its answer on record: an ordinary activity ends the
        # workflow task, so that a task that is repeated after the take-over does not open it again.
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
            return await self.ours(
                SagaActivities.take_over, self.claim(), other, summary="take the saga over"
            )
        except ActivityError as error:
            if cause_of(error) != "Fenced":
                raise
        # An attempt of the closed run was still under way and has ended the saga meanwhile, or a
        # sweep has put on record that it was lost.
        opened = await self.ours(SagaActivities.open_saga, self._opening, summary="open it again")
        if opened.how == "other_run" and opened.lost is not None:
            return await self._take_over(opened)
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
        ending: dict[str, Any] | None = None,
    ) -> Answer:
        """A step that only touches our database: one commit, as a local activity.

        The first one opens the saga, and one with an `ending` closes it with that result, in the
        same commit. Raises OpenedBefore.
        """
        if not self.is_open:
            return await self._first_step(name, activity, request, undo, by, ending)
        claim = self._next(name, request, undo, False, by).model_copy(update={"ending": ending})
        answer = await self._watch(claim, self._carry_out(activity, claim, request))
        self._is_ended(ending)
        return answer

    async def _carry_out(
        self, activity: Activity[Answer], claim: Claim, request: Request
    ) -> Answer:
        def work(claim: Claim) -> Awaitable[Answer]:
            return self.ours(activity, claim, request, summary=claim.step, tries=TRIES_AT_ONCE)

        return await persist(self, claim, work)

    async def _first_step(
        self,
        name: str,
        activity: Activity[Answer],
        request: Request,
        undo: Activity[StepUndone] | None,
        by: str | None,
        ending: dict[str, Any] | None,
    ) -> Answer:
        claim = self._next(name, request, undo, False, by)
        changed = {"epoch": FIRST_EPOCH, "opening": self._opening, "ending": ending}
        claim = claim.model_copy(update=changed)
        try:
            answer = await self._watch(claim, self._carry_out(activity, claim, request))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if cause_of(error) == SAGA_KNOWN:
                self.forget(claim.step)
            # Known, or the step is refused: a saga that only says so is opened alone.
            opened = await self.open()
            if opened.state != "running":
                raise OpenedBefore(opened) from error
            return await self.step(name, activity, request, undo=undo, by=by, ending=ending)
        self._is_opened("running", FIRST_EPOCH, self.ordinal)
        self._is_ended(ending)
        return answer

    def _is_ended(self, ending: dict[str, Any] | None) -> None:
        if ending is not None:
            self.is_closed = True
            self.show(state="completed", result=ending)

    async def call(
        self,
        name: str,
        activity: Activity[Answer],
        request: Request,
        *,
        undo: Activity[StepUndone] | None = None,
        policy: UndoPolicy = FOR_EVER,
        by: str | None = None,
        tell_within: timedelta = TELL_WITHIN,
    ) -> Answer:
        """A step that calls the outside: its undo is on record before the call.

        An outcome that is unknown is looked up with growing pauses; when nobody can tell it within
        `tell_within`, a person is asked.
        """
        claim = self._next(name, request, undo, True, by, policy)
        return await self._watch(claim, until_known(self, activity, claim, request, tell_within))

    async def read(self, activity: Callable[..., Awaitable[Answer]], *args: Any) -> Answer:
        """Read from our database; no step of the saga."""
        return await self.ours(activity, *args, summary="read")

    async def turn_round(self, turn: Turn, actor: str) -> Turned:
        """Undo everything that was started, and say what that was. Returns when all is undone."""
        turned = await self.ours(
            SagaActivities.begin_compensation, self.claim(actor), turn, summary="begin compensation"
        )
        self.epoch = turned.epoch
        if turned.state == "compensating":
            self.show(state="compensating", reason=turned.cause)
        self.look_up_no_more()
        undone = await self._undo(turned.steps, actor)
        left = [each.residual for _, each in undone.values() if each.residual]
        reports = [
            report.ended(*undone[report.name]) if report.name in undone else report
            for report in turned.reports
        ]
        changed = {"residuals": [*turned.residuals, *left], "reports": reports}
        return turned.model_copy(update=changed)

    async def _undo(self, steps: list[StepToUndo], actor: str) -> dict[str, Undone]:
        """Undo each step as soon as all is undone that began after it had ended: what ran side by
        side is undone side by side. Returns how each undo ended, by the name of its step."""
        undoing: list[tuple[StepToUndo, asyncio.Task[Undone]]] = []
        for step in steps:
            later = [task for one, task in undoing if step.ordinal not in one.undo.beside]
            undoing.append((step, asyncio.create_task(self._undo_after(later, step, actor))))
        undone = await asyncio.gather(*(task for _, task in undoing))
        return {step.name: how for (step, _), how in zip(undoing, undone, strict=True)}

    async def _undo_after(
        self, later: list[asyncio.Task[Undone]], step: StepToUndo, actor: str
    ) -> Undone:
        for task in later:
            await task
        return await undo_step(self, step, actor)

    async def close(
        self, end: End, result: dict[str, Any], actor: str | None = None
    ) -> dict[str, Any]:
        """End the saga, unless a step has; returns the result that stands, which is the first
        one."""
        if self.is_closed:
            return result
        ending = Ending(end=end, result=result)
        stands = await self.ours(
            SagaActivities.close_saga, self.claim(actor), ending, summary="close the saga"
        )
        self.show(state=end, result=stands)
        return stands

    async def record_repeat(self, fingerprint: str, repeat: str) -> SagaOpened:
        """The same request, or another one under its id, came while the saga runs."""
        request = Repeat(fingerprint=fingerprint, repeat=repeat)
        return await self.ours(
            SagaActivities.record_repeat, self.claim(), request, summary="record a repeat"
        )

    def _next(
        self,
        name: str,
        request: Request,
        undo: Activity[StepUndone] | None,
        outside: bool,
        by: str | None,
        policy: UndoPolicy = FOR_EVER,
    ) -> Claim:
        self.ordinal += 1
        plan = undo and UndoPlan(
            activity=undo.__name__,
            request=request.model_dump(mode="json"),
            outside=outside,
            tries=policy.tries,
            then=policy.then,
            beside=list(self._running),
        )
        changed = {"step": name, "ordinal": self.ordinal, "undo": plan}
        return self.claim(by).model_copy(update=changed)

    async def _watch(self, claim: Claim, work: Awaitable[Answer]) -> Answer:
        name = claim.step
        self.mark(name, "running")
        self._running.append(claim.ordinal)
        try:
            answer = await work
        except ActivityError as error:
            cause = error.cause
            refused = isinstance(cause, ApplicationError) and cause.type == "refused"
            if not is_cancelled_exception(error):
                self.mark(name, "refused" if refused else "failed", cause_of(error))
            raise
        finally:
            self._running.remove(claim.ordinal)
        self.mark(name, "done")
        heed_cancel()
        return answer


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
