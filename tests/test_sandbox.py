"""The sandbox executes a workflow's file anew for each run, and compiles it once."""

import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from worker.embedded.servers import EmbeddedServers
from worker.sandbox import sandbox

QUEUE = "sandboxed"
FILE = """
import time
from temporalio import workflow

runs = []


@workflow.defn(failure_exception_types=[workflow.NondeterminismError])
class Counting:
    @workflow.run
    async def run(self, look_at_the_clock: bool) -> list:
        runs.append(1)
        if look_at_the_clock:
            time.time()
        return [len(runs), "as it was"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / f"sandboxed_{uuid4().hex}.py"
    path.write_text(FILE)
    return path


@pytest.fixture
async def client(servers: EmbeddedServers, file: Path) -> AsyncIterator[Client]:
    client = await Client.connect(servers.temporal.address)
    workflow = importlib.import_module(file.stem).Counting
    async with Worker(client, task_queue=QUEUE, workflows=[workflow], workflow_runner=sandbox()):
        yield client


def change(file: Path) -> None:
    file.write_text(FILE.replace("as it was", "otherwise by now"))


async def run(client: Client, look_at_the_clock: bool = False) -> list[object]:
    found: list[object] = await client.execute_workflow(
        "Counting", look_at_the_clock, id=uuid4().hex, task_queue=QUEUE
    )
    return found


async def test_no_run_sees_what_another_left_in_a_module(client: Client) -> None:
    assert await run(client) == [1, "as it was"]
    assert await run(client) == [1, "as it was"]


async def test_a_file_that_is_changed_under_a_worker_has_no_effect(
    client: Client, file: Path
) -> None:
    change(file)
    assert await run(client) == [1, "as it was"]


async def test_what_a_replay_would_do_otherwise_fails(client: Client) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await run(client, look_at_the_clock=True)
    assert "time.time" in str(failed.value.cause)
