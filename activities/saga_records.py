"""Activities on the record of a saga: open it, take it over, begin compensation, close it."""

from typing import Any

from pydantic import JsonValue
from temporalio import activity
from temporalio.client import Client

from activities.namespace import this_run
from activities.runs import namespace_id, status_or_not_found
from activities.step import Claim, Request, running_in
from ledger.database import Database
from ledger.errors import NotSigned
from ledger.read.sagas import is_unsigned, saga
from ledger.sagas import saga_log
from ledger.sagas.decision_log import record_decision
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import Compensation, End, Opened, Opening
from ledger.sagas.signatures import Signed
from ledger.store.commit import Author


class Repeat(Request):
    """A request that came while the saga runs; `repeat` names the update that brought it."""

    fingerprint: Fingerprint
    repeat: str


class SignedDecision(Request):
    """A decision that an actor sent to the saga, and signed; `update` names the update."""

    signed: Signed
    update: str


class OtherRun(Request):
    """The run that carries the saga according to the ledger; `lost` if it is recorded as
    orphaned."""

    namespace: str
    namespace_id: str = ""
    run_id: str
    epoch: int
    lost: str | None = None


class CompensationRequest(Request):
    """The reason of a compensation: `cause` is a word of the contract, `reason` of a person;
    `pivot` is the pivot step of the kind."""

    cause: str
    reason: str | None = None
    pivot: str | None = None


class Ending(Request):
    """The end of a saga, and its result, stored for ever."""

    end: End
    result: dict[str, JsonValue]


class SagaActivities:
    """Activities on the record of sagas in the ledger, and one that asks Temporal."""

    def __init__(self, database: Database, client: Client) -> None:
        self._database, self._client = database, client

    @activity.defn
    async def open_saga(self, request: Opening) -> Opened:
        """Claims the operation id for ever, or finds the saga that has it.

        Raises NotAdmitted, where there is none and the request breaks the rules.
        """
        author = Author(request.actor, request.saga_id, None, running_in(request.context))
        opened = await saga_log.open_saga(self._database, author, request.by(this_run()))
        return opened.model_copy(update={"old": bool(request.problems)})

    @activity.defn
    async def answer_repeat(self, request: Opening) -> Opened:
        """Finds the saga of a request that comes again, and records the repeat; opens none."""
        author = Author(request.actor, request.saga_id, None, running_in(request.context))
        return await saga_log.answer_repeat(self._database, author, request.by(this_run()))

    @activity.defn
    async def record_repeat(self, claim: Claim, request: Repeat) -> Opened:
        """Records that the same request, or another one under its operation id, came again."""
        return await saga_log.record_repeat(
            self._database, claim.author(), claim.saga_id, request.fingerprint, request.repeat
        )

    @activity.defn
    async def record_decision(self, claim: Claim, decision: SignedDecision) -> None:
        """Checks the signature of a decision by the key of its actor, and records both."""
        if decision.signed.saga_id != claim.saga_id:
            raise NotSigned("the signature is of another saga", "invalid_signature")
        await record_decision(self._database, claim.author(), decision.signed, decision.update)

    @activity.defn
    async def is_run_open(self, request: OtherRun) -> bool:
        """Whether the run is open in Temporal: asked of the run itself, not of the visibility
        index.

        A run is closed only by a status that is known to be closed; a paused run is open. A run
        that this namespace does not know has been deleted or is past its retention: closed.
        Of a run in another namespace nothing can be said here, so it counts as open; nor of one in
        a namespace of the same name and another id.
        """
        if request.lost is not None:
            return False
        here = (self._client.namespace, await namespace_id(self._client))
        if (request.namespace, request.namespace_id) != here:
            return True
        workflow_id = activity.info().workflow_id or ""
        status = await status_or_not_found(self._client, workflow_id, request.run_id)
        return not status.is_closed

    @activity.defn
    async def take_over(self, claim: Claim, other: OtherRun) -> Opened:
        """Takes over, in this run and a new epoch, a saga that a closed run left open."""
        opened = await saga_log.take_over(
            self._database,
            claim.author(),
            claim.saga_id,
            other.run_id,
            other.epoch,
            this_run(),
        )
        story = await saga(self._database, claim.saga_id)
        return opened.model_copy(update={"unsigned": is_unsigned(story.events)})

    @activity.defn
    async def begin_compensation(self, claim: Claim, request: CompensationRequest) -> Compensation:
        """Raises the epoch and reads from the ledger the steps to undo."""
        return await saga_log.begin_compensation(
            self._database,
            claim.author(),
            claim.saga_id,
            claim.epoch,
            activity.info().workflow_run_id or "",
            request.cause,
            request.reason,
            request.pivot,
            claim.decision,
        )

    @activity.defn
    async def close_saga(self, claim: Claim, ending: Ending) -> dict[str, Any]:
        """Ends the saga; the first result stands."""
        return await saga_log.close_saga(
            self._database,
            claim.author(),
            claim.saga_id,
            claim.epoch,
            ending.end,
            dict(ending.result),
        )
