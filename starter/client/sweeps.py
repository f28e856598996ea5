"""Sweeps on demand, as the schedule does, and further where a sweep stopped for an operator."""

from collections.abc import Coroutine
from typing import Any

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from ledger.reading import read
from starter.client.errors import NotAllowed
from starter.client.failures import translated
from starter.client.patience import answered
from workflows.contract.sweep import NEEDS_ATTENTION, SWEEP, SweepRequest, Swept


async def sweep(client: Client, queue: str, request: SweepRequest) -> Swept:
    """Sweep, and return the findings. Raises NotAllowed while another operator's sweep is under
    way, NoWorker."""
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
        raise NotAllowed("another sweep is under way: ask again when it has ended") from None


async def _alerts_too(run: Coroutine[Any, Any, Swept]) -> Swept:
    """Take the findings from the failure of a sweep that needs an operator."""
    try:
        return await run
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == NEEDS_ATTENTION:
            return read(Swept, cause.details[0])
        raise
