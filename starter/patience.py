"""How long a client waits: as long as anybody works on the queue, and no longer."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from starter.errors import NoWorker
from starter.failures import translated

T = TypeVar("T")

# A healthy saga answers in well under a second; then we look whether anybody works at all.
_PATIENCE_S = 10.0
# A worker's poll lasts up to a minute, so one that lives was seen within the last 70 seconds.
_SEEN_WITHIN = timedelta(seconds=70)


async def answered(work: Awaitable[T], client: Client, saga_id: str, queue: str) -> T:
    """What `work` gives, however long that takes while there is a worker. Raises NoWorker."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_PATIENCE_S))[0]:
            await require_worker(client, saga_id, queue)
        return task.result()
    finally:
        task.cancel()


async def require_worker(client: Client, saga_id: str, queue: str) -> None:
    """Raises NoWorker unless somebody polls the queue."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    async with translated(saga_id):
        described = await client.workflow_service.describe_task_queue(request)
    oldest = datetime.now(UTC) - _SEEN_WITHIN
    if not any(poller.last_access_time.ToDatetime(UTC) > oldest for poller in described.pollers):
        raise NoWorker(
            f"no worker listens on {queue}: start one with amends worker; "
            f"what Temporal has of {saga_id} goes on then"
        )
