"""The patience of a client: it waits as long as a worker listens on the queue, and no longer."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from starter.client.errors import NotKnown, NoWorker, UpdateDropped
from starter.client.failures import stopped, translated
from workflows.contract.runs import RUNNING, status_of

T = TypeVar("T")

# A healthy saga answers in well under a second; then we look whether anybody works at all.
_PATIENCE_S = 10.0
# A worker's poll lasts up to a minute, so one that lives was seen within the last 70 seconds.
_SEEN_WITHIN = timedelta(seconds=70)
# A server that drops updates is busy with a shard that moves, or with its disk.
_DROPPED_PAUSES_S = (0.1, 0.3, 1.0, 3.0)
# The event loop holds its tasks weakly.
_UNHEARD: set[asyncio.Future[Any]] = set()


async def answered(work: Awaitable[T], client: Client, saga_id: str, queue: str) -> T:
    """Wait for the answer of `work`, however long that takes while there is a worker. Raises
    NoWorker."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_PATIENCE_S))[0]:
            await require_worker(client, saga_id, queue)
        return task.result()
    finally:
        task.cancel()
        # A call that was cancelled may still fail in a way of its own, which nobody asks for now.
        unheard(task)


async def taken(send: Callable[[], Awaitable[T]]) -> T:
    """Send an update, again where the server has dropped the update; each time under the same id,
    so that the update is carried out once, and a closed run says so. Raises UpdateDropped."""
    for pause_s in _DROPPED_PAUSES_S:
        with suppress(UpdateDropped):
            return await send()
        await asyncio.sleep(pause_s)
    return await send()


def unheard(work: Awaitable[Any]) -> None:
    """Let `work` go on, and keep its failure out of the log: it is reported elsewhere."""
    task = asyncio.ensure_future(work)
    _UNHEARD.add(task)
    task.add_done_callback(_retrieve)


def _retrieve(task: asyncio.Future[Any]) -> None:
    _UNHEARD.discard(task)
    if not task.cancelled():
        task.exception()


async def require_worker(client: Client, saga_id: str, queue: str) -> None:
    """Raises NoWorker unless a worker polls the queue."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    async with translated(saga_id, client):
        described = await client.workflow_service.describe_task_queue(request)
    oldest = datetime.now(UTC) - _SEEN_WITHIN
    if not any(poller.last_access_time.ToDatetime(UTC) > oldest for poller in described.pollers):
        raise NoWorker(
            f"no worker listens on {queue}: start one (amends up, or amends worker); "
            f"{await _what_goes_on(client, saga_id)}"
        )


async def _what_goes_on(client: Client, saga_id: str) -> str:
    """Report whether Temporal has taken the request, which may then still be carried out."""
    try:
        async with translated(saga_id, client):
            status = await status_of(client, saga_id)
    except NotKnown:
        return f"{saga_id} was not submitted"
    if status.name == RUNNING:
        return f"{saga_id} is submitted and goes on when a worker listens"
    return (
        f"{saga_id} is {status.words}"
        if status.is_closed
        else str(stopped(saga_id, status, client))
    )
