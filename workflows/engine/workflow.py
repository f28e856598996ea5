"""What all saga workflows share: the border, cancellation, the updates, how a story ends.

A saga's workflow gives its `story`: what to do, in business verbs. This class admits the input,
opens the saga, runs the story, and either closes the saga or makes amends.
"""

import asyncio
import re
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, cast

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

from activities.errors import IN_PROGRESS, REUSED, invalid_input
from activities.saga_records import SagaOpened, Turn, Turned
from activities.step import OpenSaga
from ledger.store.canonical_json import digest
from workflows.contract.admission import SagaRequest, admit
from workflows.contract.fields import Input
from workflows.contract.progress import Progress
from workflows.contract.updates import By
from workflows.engine.decisions import Asked, Inbox, not_allowed
from workflows.engine.operator_updates import Mended
from workflows.engine.run import cause_of
from workflows.engine.saga import OpenedBefore, Saga, reused

RequestT = TypeVar("RequestT", bound=SagaRequest)
ResultT = TypeVar("ResultT", bound=Input)

SYSTEM = "system:amends"
# The memo that ties a start to the update that brought it: any other `submit` is a repeat.
SUBMITTED_BY = "submitted_by"
# A run takes 2,000 updates in all: a client that repeats itself must leave room for the people
# who decide. What a validator refuses does not count.
MAX_REPEATS = 200


def system(actor: str = SYSTEM, reason: str | None = None) -> By:
    """We ourselves decide: a name that nobody outside may use."""
    return By.model_construct(actor=actor, reason=reason)


class TurnRound(Exception):
    """A story says: undo everything. `cause` is a word of the contract."""

    def __init__(self, cause: str, by: By) -> None:
        super().__init__(cause)
        self.cause, self.by = cause, by


class SagaWorkflow(Mended, Generic[RequestT, ResultT]):
    """The base of all sagas. Subclasses set `kind` and the models, and tell the `story`."""

    kind: ClassVar[str]
    request_model: ClassVar[type[Any]]
    result_model: ClassVar[type[Any]]
    # The step after which it goes forward only, also where Temporal has lost the run: the rest of
    # the story has no business reason left to fail.
    pivot_step: ClassVar[str | None] = None
    # Whether the first thing it does is a step of ours: that commit then opens the saga as well.
    opens_with_its_first_step: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._story: asyncio.Task[ResultT] | None = None
        self._cancelled_by: By | None = None
        self._inbox = Inbox()
        self._decided = self._ended = False
        self._is_deaf = False
        # Of a saga that turned round: why nobody is heard any more.
        self._undone_for: str | None = None
        self._repeats = 0
        self._failure: FailureError | None = None

    # What a saga is: told by the subclass.

    async def story(self, request: RequestT) -> ResultT:
        """What the saga does. Raises TurnRound, or lets an activity's failure through, to undo."""
        raise NotImplementedError

    async def amended(self, request: RequestT, turned: Turned) -> ResultT:
        """The result after everything was undone."""
        raise NotImplementedError

    def admitted(self, raw: tuple[Any, ...]) -> RequestT:
        """The input as a request. Raises ApplicationError `InvalidInput`."""
        request: RequestT = admit(raw, self.request_model)
        return request

    def subjects(self, request: RequestT) -> list[str]:
        """The aggregates it is about, as opaque ids."""
        raise NotImplementedError

    async def carry_out(self, raw: tuple[Any, ...]) -> ResultT:
        """The whole of a run. Cancellation reaches it here and nowhere deeper: it turns the saga
        round instead of tearing it down, however often it comes."""
        whole = asyncio.create_task(self._whole(raw))
        while not whole.done():
            try:
                await asyncio.shield(whole)
            except asyncio.CancelledError:
                self._cancel(system("system:temporal", "cancelled in Temporal"))
            except Exception:  # noqa: BLE001 - raised again by `result` below
                pass
        return whole.result()

    def _operation_id(self, request: RequestT) -> str:
        """The id of the request, or for a run of a schedule, of the workflow."""
        workflow_id = workflow.info().workflow_id
        scheduled = workflow_id.removeprefix(f"{self.kind}/").replace(":", ".")
        # It becomes part of names in the ledger and of marks on real things.
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", scheduled):
            raise invalid_input([("workflow_id", "must end in 1 to 64 of A-Z a-z 0-9 . _ - :")])
        operation_id = request.operation_id or scheduled
        expected = workflow_id if request.operation_id is None else f"{self.kind}/{operation_id}"
        if not workflow_id.startswith(f"{self.kind}/") or workflow_id != expected:
            raise invalid_input([("workflow_id", f"must be {self.kind}/ and the operation id")])
        return operation_id

    async def _whole(self, raw: tuple[Any, ...]) -> ResultT:
        try:
            request = self.admitted(raw)
            result = await self._from_open_to_close(request, self._operation_id(request))
        except FailureError as error:
            self._failure = error
            await self._last_words()
            raise
        await self._last_words()
        return result

    async def _last_words(self) -> None:
        self._ended = True
        self._inbox.close("the saga has ended")
        if self._saga is not None:
            self._saga.waiting.close("the saga has ended")
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _from_open_to_close(self, request: RequestT, operation_id: str) -> ResultT:
        opening = OpenSaga(
            saga_id=workflow.info().workflow_id,
            kind=self.kind,
            operation_id=operation_id,
            actor=request.actor,
            input=request.model_dump(mode="json"),
            fingerprint=request.fingerprint(),
            context=dict(request.metadata),
        )
        self._saga = Saga(opening, self.subjects(request))
        if self.opens_with_its_first_step:
            return await self._tell(request)
        return await self._go_on(request, await self.saga.open())

    async def _go_on(self, request: RequestT, opened: SagaOpened) -> ResultT:
        if opened.how == "duplicate":
            # Its own run finds it closed after a workflow task that was lost.
            self.saga.show(repeated=opened.run_id != workflow.info().run_id)
            return self._first_answer(opened.state, opened.result or {})
        if opened.state == "compensating":
            return await self._make_amends(request, TurnRound("taken_over", system()))
        return await self._tell(request)

    def _first_answer(self, state: str, result: dict[str, Any]) -> ResultT:
        self.saga.show(state=state, result=result)
        if state == "failed":
            raise failed(self.saga.saga_id, str(result.get("reason")), result.get("detail"))
        return cast(ResultT, self.result_model.model_validate(result))

    async def _tell(self, request: RequestT) -> ResultT:
        self._story = asyncio.create_task(self.story(request))
        if self._cancelled_by:
            self._story.cancel()
        try:
            result = await self._story
        except OpenedBefore as known:
            return await self._go_on(request, known.opened)
        except (TurnRound, FailureError, asyncio.CancelledError) as error:
            if isinstance(error, ActivityError) and cause_of(error) == "Fenced":
                raise
            if isinstance(error, ApplicationError) and error.type in (REUSED, IN_PROGRESS):
                raise
            return await self._make_amends(request, self._turn(error))
        return await self._complete(result)

    async def _complete(self, result: ResultT) -> ResultT:
        stands = await self.saga.close("completed", result.model_dump(mode="json"))
        return cast(ResultT, self.result_model.model_validate(stands))

    def _turn(self, error: BaseException) -> TurnRound:
        if isinstance(error, TurnRound):
            return error
        if is_cancelled_exception(error) or isinstance(error, asyncio.CancelledError):
            return TurnRound("cancelled", self._cancelled_by or system())
        cause = cause_of(error) if isinstance(error, ActivityError) else "failed"
        return TurnRound(cause, system())

    async def _make_amends(self, request: RequestT, turn: TurnRound) -> ResultT:
        self.ignore_cancel()
        self._undone_for = f"the saga is being undone ({turn.cause})"
        self.stop_waiting(self._undone_for)
        self.saga.waiting.close(self._undone_for)
        if not self.saga.is_open:
            # The first step may have opened it and was cancelled before it said so.
            opened = await self.saga.open()
            if opened.how == "duplicate":
                return self._first_answer(opened.state, opened.result or {})
        asked = Turn(cause=turn.cause, reason=turn.by.reason)
        turned = await self.saga.turn_round(asked, turn.by.actor)
        if turned.result is not None:
            # A workflow task that was lost had closed it already: what came since is too late.
            return self._first_answer(turned.state, turned.result)
        if not turned.held:
            ending = {"reason": turned.cause, "detail": turned.reason}
            await self.saga.close("failed", ending, turn.by.actor)
            raise failed(self.saga.saga_id, turned.cause, turned.reason)
        result = await self.amended(request, turned)
        ending = result.model_dump(mode="json")
        stands = await self.saga.close("compensated", ending, turn.by.actor)
        return cast(ResultT, self.result_model.model_validate(stands))

    # What a story may say.

    def decided(self, decision: str | None = None, reason: str | None = None) -> None:
        """The decision that whoever submitted waits for is on record."""
        self._decided = True
        self.saga.show(decision=decision, reason=reason)

    def pivot(self) -> None:
        """From here only forward: a cancel comes too late, and a step that fails is tried again
        until it has success. Said after `pivot_step`."""
        self.ignore_cancel()
        self.saga.only_forward = True

    def ignore_cancel(self) -> None:
        """From here a cancel comes too late."""
        self._is_deaf = True

    async def person(self, waits_for: str, until: datetime | None = None) -> Asked | None:
        """The next decision of a person; None when `until` has passed without one."""
        self.saga.show(waits_for=waits_for)
        timeout = max((until - workflow.now()).total_seconds(), 0.0) if until else None
        try:
            await workflow.wait_condition(
                lambda: bool(self._inbox.waiting),
                timeout=timeout,
                timeout_summary=f"deadline for {waits_for}",
            )
        except TimeoutError:
            return None
        return self._inbox.take()

    def agree(self) -> None:
        """What was asked for begins: nobody is asked any more, and repeats are welcome."""
        self._inbox.agree()
        self.saga.show(waits_for="")

    def stop_waiting(self, why: str) -> None:
        """Nobody is asked any more."""
        self.saga.show(waits_for="")
        self._inbox.close(why)

    # What others may ask; `Mended` has more.

    @workflow.update
    async def submit(self, *raw: Any) -> Progress:
        """The request, sent with the start; answers when the decision is known. Sent again, it is
        recorded and gets the first answer."""
        request = self.admitted(raw)
        await workflow.wait_condition(lambda: self._is_open() or self._ended)
        self._raise_failure()
        update = workflow.current_update_info()
        assert update is not None
        if workflow.memo_value(SUBMITTED_BY, "") != update.id and not self._ended:
            self._repeats += 1
            # The id is the caller's text; its digest fits into any column.
            met = await self.saga.record_repeat(request.fingerprint(), digest(update.id))
            if met.how == "reused":
                raise reused(self.saga.saga_id)
        await workflow.wait_condition(lambda: self._decided or self._ended)
        self._raise_failure()
        return self.progress()

    @submit.validator
    def _check_submit(self, *raw: Any) -> None:
        self.admitted(raw)
        if self._repeats >= MAX_REPEATS:
            raise not_allowed(
                f"this request came {MAX_REPEATS} times while the saga runs: "
                f"ask for its progress instead"
            )

    @workflow.update
    async def cancel(self, *raw: Any) -> Progress:
        """Undo the saga, whatever it is doing, unless it is past its pivot. Answers when the
        undo is on record as begun."""
        self._cancel(admit(raw, By))
        return await self._turned_round()

    @cancel.validator
    def _check_cancel(self, *raw: Any) -> None:
        admit(raw, By)
        if self._is_deaf or self._ended or (self._story and self._story.done()):
            why = self._undone_for or f"the saga is {self.progress().state}, past its pivot"
            raise not_allowed(f"can't cancel: {why}")

    def _cancel(self, by: By) -> None:
        if self._is_deaf or self._cancelled_by:
            return
        self._cancelled_by = by
        if self._story:
            self._story.cancel()

    async def _ask(self, verb: str, raw: tuple[Any, ...]) -> Progress:
        """Hand a decision to the story and wait until it is on record."""
        asked = Asked(verb, admit(raw, By))
        self._inbox.waiting.append(asked)
        await workflow.wait_condition(lambda: asked.answered)
        if asked.refusal:
            raise asked.refusal
        return self.progress()

    async def _turned_round(self) -> Progress:
        """Wait until the undo is on record as begun, or the saga has ended."""
        await workflow.wait_condition(
            lambda: self._ended or (self._saga is not None and self._saga.has_turned)
        )
        return self.progress()

    def _check_ask(self, verb: str, waits_for: str, raw: tuple[Any, ...]) -> None:
        admit(raw, By)
        now = self.progress()
        if now.waits_for != waits_for:
            raise not_allowed(
                f"can't {verb}: the saga is {now.decision or now.state}"
                f"{' and waits for ' + now.waits_for if now.waits_for else ''}"
            )

    def _is_open(self) -> bool:
        return self._saga is not None and self._saga.is_open

    def _raise_failure(self) -> None:
        if self._failure:
            raise self._failure


def failed(saga_id: str, cause: str, reason: str | None = None) -> ApplicationError:
    """The failure of a saga that ended with nothing held and no decision reached."""
    said = f"{cause} ({reason})" if reason else cause
    return ApplicationError(f"{saga_id} failed: {said}", type=cause, non_retryable=True)
