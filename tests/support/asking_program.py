"""`python -m tests.support.asking_program ADDRESS QUEUE SAGA N`: a program of its own that asks for
one payment N times at once, with Temporal's client alone.

The request is the first line of its input and the signal to begin the second, once `ready` is
printed; its answer is a JSON list: of each the result, the id of the update, and the run.
"""

import asyncio
import json
import os
import sys
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy


async def main(address: str, queue: str, saga: str, times: str) -> None:
    client = await Client.connect(address)
    request = json.loads(sys.stdin.readline())
    print("ready", flush=True)
    sys.stdin.readline()

    async def ask() -> Any:
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            "PaymentSaga",
            request,
            id=saga,
            task_queue=queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        update = uuid4().hex
        await client.execute_update_with_start_workflow(
            "submit", request, start_workflow_operation=start, id=update
        )
        handle = await start.workflow_handle()
        return await handle.result(), update, handle.result_run_id

    print(json.dumps(await asyncio.gather(*(ask() for _ in range(int(times))))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    # The threads of the client may abort a process that takes its time to leave.
    os._exit(0)
