"""Pauses runs and activities in Temporal, as a person does in the Web UI or by `temporal`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    PauseActivityRequest,
    PauseWorkflowExecutionRequest,
    UnpauseActivityRequest,
    UnpauseWorkflowExecutionRequest,
)
from temporalio.client import Client

from tests.support.until import until


@asynccontextmanager
async def paused(client: Client, workflow_id: str) -> AsyncIterator[None]:
    """The newest run of a workflow is paused while the block runs."""
    named = {"namespace": client.namespace, "workflow_id": workflow_id}
    await client.workflow_service.pause_workflow_execution(PauseWorkflowExecutionRequest(**named))
    yield
    await client.workflow_service.unpause_workflow_execution(
        UnpauseWorkflowExecutionRequest(**named)
    )


@asynccontextmanager
async def paused_while_running(client: Client, workflow_id: str) -> AsyncIterator[None]:
    """The one activity of a workflow that runs is paused: the attempt under way goes on, and the
    next one waits for the end of the block, by when that attempt has ended."""
    execution = WorkflowExecution(workflow_id=workflow_id)
    service, namespace = client.workflow_service, client.namespace

    async def state() -> tuple[str, str]:
        request = DescribeWorkflowExecutionRequest(namespace=namespace, execution=execution)
        described = await service.describe_workflow_execution(request)
        pending = described.pending_activities
        if not pending:
            return "", "ENDED"
        name = PendingActivityState.Name(pending[0].state)
        return pending[0].activity_id, name.removeprefix("PENDING_ACTIVITY_STATE_")

    async def running() -> str | None:
        activity_id, name = await state()
        return activity_id if name == "STARTED" else None

    async def attempt_has_ended() -> bool:
        return (await state())[1] in ("PAUSED", "ENDED")

    activity_id = await until(running)
    await service.pause_activity(
        PauseActivityRequest(namespace=namespace, execution=execution, id=activity_id)
    )
    yield
    await until(attempt_has_ended)
    if (await state())[1] == "PAUSED":
        await service.unpause_activity(
            UnpauseActivityRequest(namespace=namespace, execution=execution, id=activity_id)
        )
