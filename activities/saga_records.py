"""Activities on the record of a saga: open it, take it over, begin compensation, close it."""

from typing import Any

from pydantic import JsonValue
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.namespace import namespace_id, this_run
from activities.step import Claim, Request, running_in
from ledger.database import Database
from ledger.sagas import saga_log
from ledger.sagas.saga_log import Compensation, End, Opened, Opening
from ledger.store.commit import Author


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


class CompensationRequest(Request):
    """Why a saga is compensated: `cause` is a word of the contract, `reason` of a person."""

    cause: str
    reason: str | None = None


class Ending(Request):
    """How a saga ends, and the result that stands for ever."""

    end: End
    result: dict[str, JsonValue]


class SagaActivities:
    """The record of sagas in the ledger, and one look at Temporal."""

    def __init__(self, database: Database, client: Client) -> None:
        self._database, self._client = database, client

    @activity.defn
    async def open_saga(self, request: Opening) -> Opened:
        """Claim the operation id for ever, or find who has it."""
        author = Author(request.actor, request.saga_id, None, running_in(request.context))
        return await saga_log.open_saga(self._database, author, request.by(this_run()))

    @activity.defn
    async def record_repeat(self, claim: Claim, request: Repeat) -> Opened:
        """Write that the same request, or another one under its id, came again."""
        return await saga_log.record_repeat(
            self._database, claim.author(), claim.saga_id, request.fingerprint, request.repeat
        )

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
    async def take_over(self, claim: Claim, other: OtherRun) -> Opened:
        """Carry on, in this run and a new epoch, what a closed run left open."""
        return await saga_log.take_over(
            self._database,
            claim.author(),
            claim.saga_id,
            other.run_id,
            other.epoch,
            this_run(),
        )

    @activity.defn
    async def begin_compensation(self, claim: Claim, request: CompensationRequest) -> Compensation:
        """Raise the epoch and read from the ledger what was started."""
        return await saga_log.begin_compensation(
            self._database,
            claim.author(),
            claim.saga_id,
            claim.epoch,
            activity.info().workflow_run_id or "",
            request.cause,
            request.reason,
        )

    @activity.defn
    async def close_saga(self, claim: Claim, ending: Ending) -> dict[str, Any]:
        """End it; the first result stands."""
        return await saga_log.close_saga(
            self._database,
            claim.author(),
            claim.saga_id,
            claim.epoch,
            ending.end,
            dict(ending.result),
        )
