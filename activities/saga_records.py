"""The saga's own record: open it, take it over, turn it round, close it."""

from typing import Any, Literal

from pydantic import Field, JsonValue
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.namespace import namespace_id, this_run
from activities.step import Claim, OpenSaga, Request, running_in
from ledger.aggregates.saga import SagaState, saga_name
from ledger.aggregates.saga_step import StepReport, UndoPlan
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read.current_state import state_of
from ledger.sagas import saga_log as saga_claims
from ledger.sagas.saga_log import End, Opened
from ledger.store.commit import Author


class SagaOpened(Request):
    """What became of it; see `ledger.sagas.saga_log.Opened`."""

    how: Literal["new", "same_run", "duplicate", "other_run", "reused"]
    state: str
    epoch: int
    namespace: str
    namespace_id: str = ""
    run_id: str
    lost: str | None = None
    result: dict[str, JsonValue] | None
    last_ordinal: int = 0

    @classmethod
    def of(cls, opened: Opened, last_ordinal: int = 0) -> "SagaOpened":
        """The answer of the ledger to an opening."""
        saga = opened.saga
        return cls(
            how=opened.how,
            state=saga.state,
            epoch=saga.epoch,
            namespace=saga.namespace,
            namespace_id=saga.namespace_id,
            run_id=saga.run_id,
            lost=saga.lost,
            result=saga.result,
            last_ordinal=last_ordinal,
        )


class Repeat(Request):
    """A request that met the saga while it runs; `repeat` names the update that brought it."""

    fingerprint: str
    repeat: str


class OtherRun(Request):
    """The run that the ledger says carries the saga; `lost` of one that is on record as lost."""

    namespace: str
    namespace_id: str = ""
    run_id: str
    epoch: int
    lost: str | None = None


class Turn(Request):
    """Why a saga turns round: `cause` is a word of the contract, `reason` a person's sentence."""

    cause: str
    reason: str | None = None


class StepToUndo(Request):
    """A step that may have had an effect, and the plan of its undo."""

    name: str
    ordinal: int
    undo: UndoPlan


class Turned(Request):
    """The epoch under which to undo, and what, in this order; `held` and `residuals` as in
    `ledger.sagas.saga_log.TurnedRound`; `reports` how all steps stand, in the order of their start.
    Of a saga that has ended: its `state`, and its `result`."""

    state: str = "compensating"
    result: dict[str, JsonValue] | None = None
    epoch: int
    cause: str
    reason: str | None
    steps: list[StepToUndo]
    held: bool
    residuals: list[str]
    reports: list[StepReport] = Field(default_factory=list)


class Ending(Request):
    """How a saga ends, and the result that stands for ever."""

    end: End
    result: dict[str, JsonValue]


class SagaActivities:
    """The record of sagas in the ledger, and one look at Temporal."""

    def __init__(self, database: Database, client: Client) -> None:
        self._database, self._client = database, client

    @activity.defn
    async def open_saga(self, request: OpenSaga) -> SagaOpened:
        """Claim the operation id for ever, or find who has it."""
        author = Author(request.actor, request.saga_id, None, running_in(request.context))
        return SagaOpened.of(await saga_claims.open_saga(self._database, author, request.opening()))

    @activity.defn
    async def record_repeat(self, claim: Claim, request: Repeat) -> SagaOpened:
        """Write that the same request, or another one under its id, came again."""
        opened = await saga_claims.record_repeat(
            self._database, claim.author(), claim.saga_id, request.fingerprint, request.repeat
        )
        return SagaOpened.of(opened)

    @activity.defn
    async def is_run_open(self, request: OtherRun) -> bool:
        """Whether Temporal still runs it: asked of the run itself, not of the visibility index.

        A run that this namespace does not know has been deleted or is past its retention: closed.
        Of a run in another namespace nothing can be said here, so it counts as open; nor of one in
        a namespace of the same name and another id.
        """
        if request.lost is not None:
            return False
        here = (self._client.namespace, await namespace_id(self._client))
        if (request.namespace, request.namespace_id) != here:
            return True
        handle = self._client.get_workflow_handle(
            activity.info().workflow_id or "", run_id=request.run_id
        )
        try:
            status = (await handle.describe()).status
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return status in (
            WorkflowExecutionStatus.RUNNING,
            WorkflowExecutionStatus.CONTINUED_AS_NEW,
        )

    @activity.defn
    async def take_over(self, claim: Claim, other: OtherRun) -> SagaOpened:
        """Carry on, in this run and a new epoch, what a closed run left open."""
        saga = await saga_claims.take_over(
            self._database,
            claim.author(),
            claim.saga_id,
            other.run_id,
            other.epoch,
            this_run(),
        )
        # Read after the epoch was raised. Steps of this run come after those of the other one, so
        # that the order of the undo stays the order of the starts.
        steps = await saga_claims.steps_of(self._database, claim.saga_id)
        last = max((step.ordinal for step in steps), default=0)
        return SagaOpened.of(Opened("same_run", saga), last)

    @activity.defn
    async def begin_compensation(self, claim: Claim, turn: Turn) -> Turned:
        """Raise the epoch and read from the ledger what was started."""
        try:
            turned = await saga_claims.begin_compensation(
                self._database,
                claim.author(),
                claim.saga_id,
                claim.epoch,
                activity.info().workflow_run_id or "",
                turn.cause,
                turn.reason,
            )
        except StateRefused:
            return await self._as_it_stands(claim, turn)
        steps = [
            StepToUndo(name=step.name, ordinal=step.ordinal, undo=step.undo)
            for step in turned.steps
            if step.undo
        ]
        return Turned(
            epoch=turned.epoch,
            cause=turned.cause,
            reason=turned.reason,
            steps=steps,
            held=turned.held,
            residuals=turned.residuals,
            reports=[StepReport.of(step) for step in turned.all_steps],
        )

    async def _as_it_stands(self, claim: Claim, turn: Turn) -> Turned:
        saga = await state_of(self._database, saga_name(claim.saga_id))
        assert isinstance(saga, SagaState)
        return Turned(
            state=saga.state,
            result=saga.result,
            epoch=saga.epoch,
            cause=turn.cause,
            reason=turn.reason,
            steps=[],
            held=False,
            residuals=[],
        )

    @activity.defn
    async def close_saga(self, claim: Claim, ending: Ending) -> dict[str, Any]:
        """End it; the first result stands."""
        return await saga_claims.close_saga(
            self._database,
            claim.author(),
            claim.saga_id,
            claim.epoch,
            ending.end,
            dict(ending.result),
        )
