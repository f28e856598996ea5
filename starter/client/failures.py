"""Translates Temporal's errors into ours. The one place that reads them."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    TerminatedError,
    TimeoutError,
)
from temporalio.service import RPCError, RPCStatusCode

from starter.client.connection import server_options
from starter.client.endings import ended_as
from starter.client.errors import (
    AmendsError,
    InvalidInput,
    NotAllowed,
    NotBegun,
    NotKnown,
    NoWorker,
    OperationIdReused,
    OperationInProgress,
    Paused,
    SagaFailed,
    Unreachable,
    UpdateDropped,
)
from workflows.contract.progress import Progress
from workflows.contract.runs import COMPLETED, RunStatus, status_named, status_of
from workflows.contract.waits import paused_wait, paused_words

# What Temporal says of an update that the end of the workflow overtook.
_OVERTAKEN = "AcceptedUpdateCompletedWorkflow"
# What it says of one that came too late, and of one that was on its way into the run's last task.
_ENDED = re.compile("already completed|closing workflow")
# What it says of one that it has dropped, whatever status it gives that: the run may have ended, or
# goes on without it.
_DROPPED = re.compile("update was aborted|workflow is closing")
# What it says of an update of a paused run, and of a query during a start delay.
_STATUS = re.compile(r"(\d+) is not a valid WorkflowExecutionStatus")
_NO_END = "No completion event found"
_PAUSED_STATUS = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED
_PAUSED, _DELAYED = "is paused", "task is not scheduled yet"
NOT_KNOWN = (
    "no run of {} in Temporal: amends sagas lists the sagas; one that is open there is carried on "
    "when its request is repeated, or recovered by amends sweep"
)


class SagaEnded(AmendsError):
    """The run has ended, so an update or query of it can't be answered: read its result."""


@asynccontextmanager
async def translated(saga_id: str, client: Client | None = None) -> AsyncIterator[None]:
    """Translate the errors of Temporal's client in this block into those of
    `starter.client.errors`. With the client, the commands that they name say where its server
    is."""
    try:
        yield
    except (WorkflowUpdateFailedError, WorkflowFailureError) as error:
        raise _failure(saga_id, error.cause) from None
    except WorkflowQueryFailedError:
        raise NotKnown(
            f"the progress of {saga_id} can't be queried: see amends saga {saga_id}"
        ) from None
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise Unreachable(f"{saga_id}: Temporal did not answer in time: ask again") from None
    except RPCError as error:
        raise _rpc_error(saga_id, error, client) from None
    except (ValueError, RuntimeError) as error:
        # Temporal's client can't read the answer of a paused run to a query, nor that its wait for
        # the end of the run is over before the end.
        if (found := _STATUS.match(str(error))) is not None:
            raise stopped(saga_id, status_named(int(found[1])), client) from None
        if str(error) != _NO_END:
            raise
        raise stopped(saga_id, status_named(_PAUSED_STATUS), client) from None


async def too_late(
    client: Client, saga_id: str, verb: str, recorded: Callable[[], Awaitable[Progress | None]]
) -> NotAllowed:
    """The refusal of an update by a closed run: its saga has ended, or the run was lost. `recorded`
    gives the saga as it is on record, if it is: the newest run of its id may be a start that was
    refused."""
    async with translated(saga_id, client):
        status = await status_of(client, saga_id)
    how = " has ended"
    if status.name == COMPLETED:
        async with translated(saga_id, client):
            result = await client.get_workflow_handle(saga_id).result()
        if isinstance(result, dict) and (end := ended_as(result)):
            how = f" ended as {end}"
    else:
        known = await recorded()
        is_open = known.result is None if known else status.name in ("terminated", "timed_out")
        if is_open:
            return NotAllowed(
                f"{saga_id} is orphaned, since its run was lost, so {verb} can't be delivered: "
                "repeat the request to carry the saga on, or amends sweep recovers it"
            )
        how = f" ended as {ended_as(known.result, known.state)}" if known else " has failed"
    return NotAllowed(f"{saga_id}{how}, {verb} comes too late: see amends saga {saga_id}")


def stopped(saga_id: str, status: RunStatus, client: Client | None) -> Paused:
    """The refusal of an update or a query by an open run that does not run."""
    wait = paused_wait(saga_id, status.name, server_options(client) if client else "")
    return Paused(paused_words(saga_id, wait), wait)


def _failure(saga_id: str, cause: BaseException) -> AmendsError:
    if isinstance(cause, ApplicationError):
        return _application_error(saga_id, cause)
    if isinstance(cause, CancelledError):
        return SagaFailed(f"{saga_id} was cancelled in Temporal", "cancelled")
    if isinstance(cause, TerminatedError):
        return SagaFailed(f"{saga_id} was terminated: submit it again to carry it on", "terminated")
    if isinstance(cause, TimeoutError):
        return SagaFailed(f"{saga_id} timed out", "timeout")
    return SagaFailed(f"{saga_id} failed: {type(cause).__name__}", type(cause).__name__)


def _application_error(saga_id: str, cause: ApplicationError) -> AmendsError:
    match cause.type:
        case "InvalidInput":
            return invalid_input(cause.details)
        case "operation_id_reused":
            return OperationIdReused(
                f"{saga_id} belongs to another request: choose a new operation id"
            )
        case "operation_in_progress":
            return OperationInProgress(
                f"{saga_id} is carried by another run that is still open: "
                f"follow it with amends saga {saga_id}",
                "operation_in_progress",
            )
        case kind if kind == _OVERTAKEN:
            return SagaEnded(f"{saga_id} has ended")
        case "not_allowed":
            return NotAllowed(f"{saga_id}: {cause.message}")
        case kind:
            said = [each["reason"] for each in cause.details if isinstance(each, dict)]
            why = f" ({said[0]})" if said else ""
            return SagaFailed(f"{saga_id} failed: {kind or 'failed'}{why}", kind or "failed")


def invalid_input(details: Any) -> InvalidInput:
    """The details of the refusal by admission, as our error."""
    problems = [
        (str(detail.get("field", "input")), str(detail.get("reason", "refused")))
        for detail in details
        if isinstance(detail, dict)
    ] or [("input", "refused by the saga")]
    (field, reason), *others = problems
    return InvalidInput(field, reason, *others)


def _rpc_error(saga_id: str, error: RPCError, client: Client | None) -> AmendsError:
    match error.status:
        case RPCStatusCode.NOT_FOUND if "amespace" in error.message:
            return Unreachable("no such namespace in Temporal: correct TEMPORAL_NAMESPACE")
        case RPCStatusCode.NOT_FOUND if _ENDED.search(error.message):
            return SagaEnded(f"{saga_id} has ended")
        case _ if _DROPPED.search(error.message):
            return UpdateDropped(f"Temporal has dropped an update of {saga_id}: ask again")
        case RPCStatusCode.NOT_FOUND:
            return NotKnown(NOT_KNOWN.format(saga_id))
        case RPCStatusCode.ALREADY_EXISTS:
            return NotAllowed(f"{saga_id} exists already: choose another name")
        case RPCStatusCode.INVALID_ARGUMENT:
            return NotAllowed(f"Temporal refuses {saga_id}: {error.message}")
        case RPCStatusCode.UNAUTHENTICATED | RPCStatusCode.PERMISSION_DENIED:
            return Unreachable(
                "Temporal refuses the credentials: correct TEMPORAL_API_KEY or the TLS settings"
            )
        case (
            RPCStatusCode.DEADLINE_EXCEEDED
            | RPCStatusCode.CANCELLED
            | RPCStatusCode.FAILED_PRECONDITION
        ):
            return _unanswered(saga_id, error.message, client)
        case status:
            return Unreachable(
                f"Temporal can't be reached ({status.name}): run amends up, "
                f"or correct TEMPORAL_ADDRESS"
            )


def _unanswered(saga_id: str, message: str, client: Client | None) -> AmendsError:
    """The refusal of an update or a query that the run can't answer now."""
    if _PAUSED in message:
        return stopped(saga_id, status_named(_PAUSED_STATUS), client)
    if _DELAYED in message:
        return NotBegun(
            f"{saga_id} has not begun: its start delay has not passed; any update ends the delay, "
            f"and amends cancel {saga_id} ends the saga without an effect"
        )
    return NoWorker(f"no worker answers for {saga_id}: start one (amends up, or amends worker)")
