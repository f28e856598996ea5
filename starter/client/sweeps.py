"""A sweep that a person asks for: what the schedule does, now, and further where it stopped."""

from collections.abc import Coroutine
from typing import Any

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from starter.client.errors import NotAllowed
from starter.client.failures import translated
from starter.client.patience import answered
from workflows.contract.sweep import NEEDS_ATTENTION, SWEEP, SweepRequest, Swept


async def sweep(client: Client, queue: str, request: SweepRequest) -> Swept:
    """What it found. Raises NotAllowed while another person's sweep is under way, NoWorker."""
    try:
        async with translated(SWEEP):
            run = client.execute_workflow(
                "SweepWorkflow",
                request.model_dump(mode="json", exclude_none=True),
                result_type=Swept,
                id=SWEEP,
                task_queue=queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary="look for sagas that Temporal lost",
            )
            return await answered(_alerts_too(run), client, SWEEP, queue)
    except WorkflowAlreadyStartedError:
        raise NotAllowed("a sweep that was asked for is under way: ask again") from None


async def _alerts_too(run: Coroutine[Any, Any, Swept]) -> Swept:
    """A sweep that needs a person fails, and says in its failure what it found."""
    try:
        return await run
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == NEEDS_ATTENTION:
            return Swept.model_validate(cause.details[0])
        raise
