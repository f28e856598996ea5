"""Reads the status of a run in Temporal as the server sends it.

The SDK's `describe` and `list_workflows` raise ValueError on a status that the SDK does not know,
such as that of a paused run. The statuses are Temporal's and their list is open: a run counts as
closed only by a status that is known to be closed.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.converter import decode_typed_search_attributes
from temporalio.service import RPCError, RPCStatusCode

RUNNING, PAUSED, COMPLETED = "running", "paused", "completed"
# Known to be closed. A run that continued as new goes on under the same workflow id.
_CLOSED = {
    Status.WORKFLOW_EXECUTION_STATUS_COMPLETED: COMPLETED,
    Status.WORKFLOW_EXECUTION_STATUS_FAILED: "failed",
    Status.WORKFLOW_EXECUTION_STATUS_CANCELED: "cancelled",
    Status.WORKFLOW_EXECUTION_STATUS_TERMINATED: "terminated",
    Status.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: "timed_out",
}
_OPEN = {
    Status.WORKFLOW_EXECUTION_STATUS_RUNNING: RUNNING,
    Status.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: RUNNING,
    Status.WORKFLOW_EXECUTION_STATUS_PAUSED: PAUSED,
}

_STATE = SearchAttributeKey.for_keyword("SagaState")
_STEP = SearchAttributeKey.for_keyword("SagaStep")


@dataclass(frozen=True)
class RunStatus:
    """The status of a run. `name` is a word for people, `status 9` of one that is unknown here;
    `closed_at` is the server's time, None while the run is open. `saga_state` and `saga_step` are
    the run's search attributes."""

    name: str
    is_closed: bool
    closed_at: datetime | None = None
    saga_state: str = ""
    saga_step: str = ""

    @property
    def is_stopped(self) -> bool:
        """Whether the run is open and does not run."""
        return not self.is_closed and self.name != RUNNING

    @property
    def words(self) -> str:
        """The name for people: `timed out`."""
        return self.name.replace("_", " ")


# The status of a run that its namespace does not know: deleted, or past its retention.
NOT_FOUND = RunStatus("not_found", is_closed=True)


async def namespace_id(client: Client) -> str:
    """Ask Temporal for the id of the client's namespace. Raises RPCError."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    described = await client.workflow_service.describe_namespace(request)
    return described.namespace_info.id


def status_named(status: int) -> RunStatus:
    """The status with this number of Temporal's API; an unknown number is open."""
    if status in _CLOSED:
        return RunStatus(_CLOSED[Status.ValueType(status)], is_closed=True)
    return RunStatus(_OPEN.get(Status.ValueType(status), f"status {status}"), is_closed=False)


async def status_of(client: Client, workflow_id: str, run_id: str = "") -> RunStatus:
    """Ask Temporal for the status of a run, of the newest one without `run_id`. Raises RPCError."""
    described = await client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        ),
        retry=True,
    )
    info = described.workflow_execution_info
    status = status_named(info.status)
    shown = decode_typed_search_attributes(info.search_attributes)
    return replace(
        status,
        closed_at=info.close_time.ToDatetime(UTC) if status.is_closed else None,
        saga_state=shown.get(_STATE, ""),
        saga_step=shown.get(_STEP, ""),
    )


async def status_or_not_found(client: Client, workflow_id: str, run_id: str = "") -> RunStatus:
    """Ask as `status_of`; NOT_FOUND where Temporal knows no such run. Raises RPCError."""
    try:
        return await status_of(client, workflow_id, run_id)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return NOT_FOUND
        raise


async def status_of_carrier(client: Client, workflow_id: str, run_id: str) -> RunStatus:
    """The status of the run that carries a saga; `run_id` is the one on record.

    The newest run is it while that is open: it carries the saga, or is about to, as after a reset.
    A newest run that is closed may be a start under the same id that was refused: then the run on
    record is asked about. Raises RPCError.
    """
    newest = await status_or_not_found(client, workflow_id)
    if not newest.is_closed:
        return newest
    try:
        return await status_or_not_found(client, workflow_id, run_id)
    except RPCError as error:
        # What is on record is no id of a run.
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            return newest
        raise
