"""One run of a saga from its input to its end: admit, open, run the story, close or compensate."""

import asyncio
import re
from typing import Any, Generic, cast

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

from activities.errors import IN_PROGRESS, INVALID_INPUT, REUSED, invalid_input
from activities.saga_records import CompensationRequest
from ledger.reading import read
from ledger.sagas.saga_log import Opened, Opening
from ledger.store.canonical_json import digest
from ledger.store.signed_form import FIELD, SUBMIT
from workflows.contract.kinds import saga_of_run
from workflows.contract.updates import By
from workflows.engine.compensation import compensate
from workflows.engine.decisions import SYSTEM, not_allowed, system
from workflows.engine.lifecycle import Lifecycle, LifecycleEvent
from workflows.engine.live_details import about
from workflows.engine.run import cause_of
from workflows.engine.saga import OpenedBefore, Saga
from workflows.engine.signed import signed_in
from workflows.engine.story import Compensate, RequestT, ResultT, Story

ENDED = "the saga has ended"
# What is not admitted is shown nowhere.
NOT_ADMITTED = "a request that is not admitted"
# The failures of a run that opens no saga and has none.
NOT_OPENED = (REUSED, IN_PROGRESS, INVALID_INPUT)


class Execution(Generic[RequestT, ResultT]):
    """Carries out one story. `saga` is set once the input was admitted, `failure` once the run has
    failed."""

    def __init__(self, story: Story[RequestT, ResultT]) -> None:
        self.lifecycle = Lifecycle()
        self.saga: Saga | None = None
        self.failure: FailureError | None = None
        # Before, only updates that came with the start were looked at.
        self.has_begun = False
        # Whether an update came that nobody signed.
        self._heard_unsigned = False
        self._story = story
        self._telling: asyncio.Task[ResultT] | None = None
        self._cancelled_by: By | None = None

    async def carry_out(self, raw: tuple[Any, ...]) -> ResultT:
        """Carry out the whole run. Cancellation reaches it here and nowhere deeper: it compensates
        the saga instead of tearing it down, however often it comes."""
        self.has_begun = True
        whole = asyncio.create_task(self._from_input_to_end(raw))
        while not whole.done():
            try:
                await asyncio.shield(whole)
            except asyncio.CancelledError:
                self.cancel(system("system:temporal", "cancelled in Temporal"))
            except Exception:  # noqa: BLE001 - raised again by `result` below
                pass
        return whole.result()

    def cancel(self, by: By) -> None:
        """Cancel the story, unless the cancel comes too late or again."""
        if self.lifecycle.refuses_cancel() or self._cancelled_by:
            return
        self._cancelled_by = by
        if self._telling:
            self._telling.cancel()

    def undone_because(self) -> str:
        """The reason why the saga is being undone, or will be once its step in flight has ended; ''
        for one that is not."""
        if self._cancelled_by and not (self.lifecycle.has_ended or self.lifecycle.undone_because()):
            return "the saga is being cancelled"
        return self.lifecycle.undone_because()

    @property
    def is_withdrawn(self) -> bool:
        """Whether a cancel came while only the outcome of the pivot could decide."""
        return self.saga is not None and self.saga.withdrawn_by is not None

    async def hear(self, verb: str, raw: tuple[Any, ...]) -> bool:
        """Have the signature of an update checked and recorded, before anything is done about it.
        Returns whether that took time, so that the saga may have gone on.

        Raises ApplicationError `InvalidInput` for a signature that is not valid.
        """
        signed = signed_in(raw, saga_of_run(workflow.info().workflow_id), verb)
        if signed is None:
            self._tell_unsigned()
            return False
        await workflow.wait_condition(
            lambda: self.lifecycle.is_recorded or self.lifecycle.has_ended
        )
        if self.saga is None or self.lifecycle.has_ended:
            raise not_allowed(f"can't {verb}: {ENDED}")
        update = workflow.current_update_info()
        assert update is not None
        await self.saga.record_decision(raw[0]["actor"], signed, digest(update.id))
        return True

    def _tell_unsigned(self) -> None:
        self._heard_unsigned = True
        if self.saga is not None:
            self.saga.heard_unsigned = True
            self.saga.show(unsigned=True)

    async def _from_input_to_end(self, raw: tuple[Any, ...]) -> ResultT:
        try:
            request = self._story.read(raw)
            opening = self._opening(request, raw)
            good = not opening.problems
            subjects = self._story.subjects(request) if good else []
            shown = about(request) if good else [NOT_ADMITTED]
            self.saga = saga = Saga(opening, subjects, self.lifecycle, shown)
            # Of a saga that is on record, whatever the rules say by now.
            saga.actor, saga.context = request.actor, dict(request.metadata)
            if self._heard_unsigned:
                self._tell_unsigned()
            if opening.saga_id != workflow.info().workflow_id:
                repeated = await saga.answer()
                result = self._first_answer(saga, repeated.state, repeated.result or {})
            elif self._story.opens_with_its_first_step:
                result = await self._tell(saga, request)
            else:
                result = await self._go_on(saga, request, await saga.open())
        except FailureError as error:
            self.failure = error
            await self._last_words()
            raise
        await self._last_words()
        return result

    async def _last_words(self) -> None:
        self.lifecycle.on(LifecycleEvent.RUN_ENDED)
        if self.saga is not None:
            self.saga.inbox.close(ENDED)
            self.saga.waiting.close(ENDED)
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _opening(self, request: RequestT, raw: tuple[Any, ...]) -> Opening:
        # Not decided here: a replay would decide anew, by the rules of its day. Whoever opens the
        # saga decides, and of a request with problems nothing else is handed on.
        problems = self._story.problems_of(raw)
        kind, full = self._story.kind.name, self._story.in_full(request)
        fingerprint = self._story.fingerprint(raw).also(full.fingerprint())
        try:
            its_id = operation_id(kind, request.operation_id)
        except ApplicationError:
            if problems:
                raise invalid_input(problems) from None
            raise
        if not problems and not fingerprint.given:
            problems = [("input", "a float has no exact form: use an integer or a string")]
        saga_id = saga_of_run(workflow.info().workflow_id)
        return Opening(
            saga_id=saga_id,
            kind=kind,
            operation_id=its_id,
            actor=SYSTEM if problems else request.actor,
            input={} if problems else full.model_dump(mode="json", exclude={FIELD}),
            fingerprint=fingerprint,
            problems=problems,
            context={} if problems else dict(request.metadata),
            signed=None if problems else signed_in(raw, saga_id, SUBMIT),
        )

    def _on_record(self, saga: Saga, request: RequestT, *, old: bool) -> RequestT:
        request = self._story.as_admitted(request)
        if old:
            saga.introduce(request.actor, self._story.subjects(request), about(request))
        return request

    async def _go_on(self, saga: Saga, request: RequestT, opened: Opened) -> ResultT:
        if opened.how == "duplicate" or saga.lifecycle.has_ended:
            if opened.old:
                self._on_record(saga, request, old=True)
            return self._first_answer(saga, opened.state, opened.result or {})
        request = self._on_record(saga, request, old=opened.old)
        if opened.state == "compensating":
            return await self._compensate(saga, request, Compensate("taken_over", system()))
        return await self._tell(saga, request)

    async def _tell(self, saga: Saga, request: RequestT) -> ResultT:
        self._telling = asyncio.create_task(self._story.story(request))
        if self._cancelled_by:
            self._telling.cancel()
        try:
            result = await self._telling
        except OpenedBefore as known:
            return await self._go_on(saga, request, known.opened)
        except (Compensate, FailureError, asyncio.CancelledError) as error:
            # A fenced run may have begun to compensate by itself, in a workflow task that was lost
            # with the updates that it had taken. By another run, its compensation is fenced too.
            is_fenced = isinstance(error, ActivityError) and cause_of(error) == "Fenced"
            goes_on = not self.lifecycle.is_past_pivot
            if is_fenced and not (goes_on and workflow.patched("fenced-by-itself")):
                raise
            if isinstance(error, ApplicationError) and error.type in NOT_OPENED:
                raise
            return await self._compensate(saga, request, self._why(error))
        # All is done, and only its end is not on record.
        saga.refuse_cancel()
        stands = await saga.close("completed", result.model_dump(mode="json"))
        return self._result(stands)

    def _why(self, error: BaseException) -> Compensate:
        if isinstance(error, Compensate):
            return error
        if self.is_withdrawn and self.lifecycle.cause == "cancelled":
            assert self.saga is not None
            return Compensate("cancelled", self.saga.withdrawn_by or system())
        if is_cancelled_exception(error) or isinstance(error, asyncio.CancelledError):
            return Compensate("cancelled", self._cancelled_by or system())
        cause = cause_of(error) if isinstance(error, ActivityError) else "failed"
        return Compensate(cause, system())

    async def _compensate(self, saga: Saga, request: RequestT, why: Compensate) -> ResultT:
        self.lifecycle.on(LifecycleEvent.STOPPED, why.cause)
        saga.stop_waiting(self.lifecycle.refuses_cancel())
        saga.waiting.close(self.lifecycle.refuses_cancel())
        if not self.lifecycle.is_recorded:
            # The first step may have opened it and was cancelled before it said so.
            opened = await saga.open()
            if opened.how == "duplicate":
                return self._first_answer(saga, opened.state, opened.result or {})
            request = self._on_record(saga, request, old=opened.old)
        pivot = self._story.kind.pivot_step
        asked = CompensationRequest(cause=why.cause, reason=why.by.reason, pivot=pivot)
        compensation = await compensate(saga, asked, why.by)
        if compensation.state == "running":
            return await self._find_out(saga, request, why)
        if compensation.result is not None:
            # A workflow task that was lost had closed it already: what came since is too late.
            return self._first_answer(saga, compensation.state, compensation.result)
        if not compensation.held:
            ending = {"reason": compensation.cause, "detail": compensation.reason}
            await saga.close("failed", ending, why.by.actor)
            raise failed(saga.saga_id, compensation.cause, compensation.reason)
        result = await self._story.compensated(self._story.as_admitted(request), compensation)
        ending = result.model_dump(mode="json")
        return self._result(await saga.close("compensated", ending, why.by.actor))

    async def _find_out(self, saga: Saga, request: RequestT, why: Compensate) -> ResultT:
        """Tell the story again, to find out the outcome of its pivot and go on from there: a pivot
        that can't be undone is not compensated while it may be done."""
        if saga.withdrawn_by is not None:
            # Found out, and yet not on record: another run, later, may see why.
            raise failed(saga.saga_id, why.cause, why.by.reason)
        saga.withdrawn_by, self._cancelled_by = why.by, None
        saga.refuse_cancel()
        return await self._tell(saga, request)

    def _first_answer(self, saga: Saga, state: str, result: dict[str, Any]) -> ResultT:
        saga.enter(LifecycleEvent(state), result=result)
        if state == "failed":
            raise failed(saga.saga_id, str(result.get("reason")), result.get("detail"))
        return self._result(result)

    def _result(self, stands: dict[str, Any]) -> ResultT:
        # As it was written: the first answer of any version.
        return cast(ResultT, read(self._story.kind.result, stands))


def operation_id(kind: str, requested: str | None) -> str:
    """The operation id of the request, or, for a run of a schedule, of the workflow.

    Raises ApplicationError `InvalidInput` where the workflow id is not made of it.
    """
    workflow_id = saga_of_run(workflow.info().workflow_id)
    if not workflow_id.startswith(f"{kind}/"):
        raise invalid_input([("workflow_id", f"must be {kind}/ and the operation id")])
    scheduled = workflow_id.removeprefix(f"{kind}/").replace(":", ".")
    # It becomes part of names in the ledger and of marks on real things.
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", scheduled):
        raise invalid_input([("workflow_id", "must end in 1 to 64 of A-Z a-z 0-9 . _ - :")])
    expected = workflow_id if requested is None else f"{kind}/{requested}"
    if workflow_id != expected:
        raise invalid_input([("workflow_id", f"must be {kind}/ and the operation id")])
    return requested or scheduled


def failed(saga_id: str, cause: str, reason: str | None = None) -> ApplicationError:
    """The failure of a saga that ended with nothing held and no decision reached."""
    # A message is in plain text at the server, also under a codec; details are not.
    details = [{"reason": reason}] if reason else []
    text = f"{saga_id} failed: {cause}"
    return ApplicationError(text, *details, type=cause, non_retryable=True)
