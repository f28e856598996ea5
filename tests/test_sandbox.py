"""The sandbox executes a workflow's file anew for each run, and compiles it once."""

import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from worker.embedded.servers import EmbeddedServers
from worker.sandbox import sandbox

ROOT = Path(__file__).parent.parent
QUEUE = "sandboxed"
WORDS = "package_with_words"
POLICY = """
import builtins, io
from worker.sandbox import runner
from workflows.contract.agent import PolicyRequest

runner("on")

def refused(*_, **__): raise AssertionError("opens a file")

builtins.open = io.open = refused
limits = {"max_per_transaction_minor": 1, "daily_limit_minor": 1, "approval_threshold_minor": 1}
where = {"time_zone": "America/Argentina/Buenos_Aires", "currency": "ARS"}
PolicyRequest(operation_id="o", actor="user:ana", agent_id="bot", **limits, **where)
"""
FILE = """
import importlib
import time
from importlib import resources
from temporalio import workflow

runs = []


@workflow.defn
class Reading:
    @workflow.run
    async def run(self, package: str) -> list:
        places = importlib.import_module(package).__path__
        text = resources.files(package).joinpath("words.txt").read_text()
        return [text, len(places), importlib.import_module("shouting").WORD]


@workflow.defn(failure_exception_types=[workflow.NondeterminismError])
class Counting:
    @workflow.run
    async def run(self, look_at_the_clock: bool) -> list:
        runs.append(1)
        if look_at_the_clock:
            time.time()
        return [len(runs), "as it was"]
"""


class Shouting(SourceFileLoader):
    """A loader of somebody's own, which does more than load."""

    def source_to_code(self, data: Any, path: Any) -> CodeType:  # type: ignore[override]
        return super().source_to_code(data.upper(), path)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hook = FileFinder.path_hook((Shouting, [".loud"]), (SourceFileLoader, [".py"]))
    monkeypatch.setattr(sys, "path_hooks", [hook, *sys.path_hooks])
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shouting.loud").write_text("word = 'quiet'")
    path = tmp_path / f"sandboxed_{uuid4().hex}.py"
    path.write_text(FILE)
    (tmp_path / WORDS).mkdir()
    (tmp_path / WORDS / "__init__.py").write_text("__path__.append('left here')")
    (tmp_path / WORDS / "words.txt").write_text("of a package")
    return path


@pytest.fixture
async def client(servers: EmbeddedServers, file: Path) -> AsyncIterator[Client]:
    client = await Client.connect(servers.temporal.address)
    made = importlib.import_module(file.stem)
    workflows = [made.Counting, made.Reading]
    async with Worker(client, task_queue=QUEUE, workflows=workflows, workflow_runner=sandbox()):
        yield client


def change(file: Path) -> None:
    file.write_text(FILE.replace("as it was", "otherwise by now"))


async def run(client: Client, look_at_the_clock: bool = False) -> list[object]:
    found: list[object] = await client.execute_workflow(
        "Counting", look_at_the_clock, id=uuid4().hex, task_queue=QUEUE
    )
    return found


async def test_no_run_sees_what_another_left_in_a_module_or_what_its_file_has_become(
    client: Client, file: Path
) -> None:
    change(file)
    assert await run(client) == [1, "as it was"]
    assert await run(client) == [1, "as it was"]


async def test_what_a_run_imports_is_as_python_imports_it(client: Client) -> None:
    """A package has its data files and its own path, and a loader of somebody's own its say."""
    for _ in range(2):
        found = await client.execute_workflow("Reading", WORDS, id=uuid4().hex, task_queue=QUEUE)
        assert found == ["of a package", 2, "QUIET"]


def test_time_zones_and_currencies_are_known_without_opening_a_file() -> None:
    """In a process that has looked up none yet, as a worker's first run has not."""
    done = subprocess.run(
        [sys.executable, "-c", POLICY], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_what_a_replay_would_do_otherwise_fails(client: Client) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await run(client, look_at_the_clock=True)
    assert "time.time" in str(failed.value.cause)
