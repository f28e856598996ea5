"""A workflow can't do what a replay would do otherwise, whether its file is executed once for a
worker or anew for each run."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from tests.support import forbidden
from tests.support.forbidden import (
    AsksForTypes,
    Counts,
    ImportsByName,
    IsEvicted,
    Meets,
    Spins,
    TriesEverywhere,
)
from tests.support.meeting import EXECUTIONS, HAS_COME, LEFT, MAY_GO, SPUN
from tests.support.until import until
from worker.embedded.servers import EmbeddedServers
from worker.sandbox import runner

ROOT = Path(__file__).parent.parent
QUEUE, FORGETFUL = "sandboxed", "sandboxed-forgetful"
POLICY = """
import builtins, io
from worker.sandbox import runner
from workflows.contract.policy import PolicyRequest

runner("on")

def refused(*_, **__): raise AssertionError("opens a file")

builtins.open = io.open = refused
limits = {"max_per_transaction_minor": 1, "daily_limit_minor": 1, "approval_threshold_minor": 1}
where = {"time_zone": "America/Argentina/Buenos_Aires", "currency": "ARS"}
PolicyRequest(operation_id="o", actor="user:ana", agent_id="bot", **limits, **where)
"""


@pytest.fixture(scope="module")
async def client(servers: EmbeddedServers) -> Client:
    return await Client.connect(servers.temporal.address)


@pytest.fixture(scope="module", params=["on", "isolated"])
async def sandbox(client: Client, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A worker with this sandbox."""
    EXECUTIONS.clear()
    workflows = [AsksForTypes, Counts, ImportsByName, Meets, TriesEverywhere]
    runs = runner(request.param)
    async with Worker(client, task_queue=QUEUE, workflows=workflows, workflow_runner=runs):
        yield request.param


@pytest.fixture(scope="module")
async def forgetful(client: Client) -> AsyncIterator[None]:
    """A worker with the sandbox on, which evicts each run that waits."""
    runs = runner("on")
    async with Worker(
        client,
        task_queue=FORGETFUL,
        workflows=[IsEvicted, Spins],
        workflow_runner=runs,
        max_cached_workflows=0,
    ):
        yield


async def run(client: Client, workflow: type, *args: object, queue: str = QUEUE) -> object:
    name = workflow.__name__
    return await client.execute_workflow(name, args=args, id=uuid4().hex, task_queue=queue)


async def test_a_file_is_executed_once_for_a_worker_or_anew_for_each_run(
    client: Client, sandbox: str
) -> None:
    counted = [await run(client, Counts, False) for _ in range(2)]
    assert counted == ([1, 2] if sandbox == "on" else [1, 1])
    assert (len(EXECUTIONS) == 1) == (sandbox == "on")


async def test_what_a_replay_would_do_otherwise_fails_and_says_where(
    client: Client, sandbox: str
) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await run(client, Counts, True)
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert "Cannot access time.time" in cause.message
    assert cause.failure is not None
    assert f'"{forbidden.__file__}", line' in cause.failure.stack_trace


async def test_no_part_of_a_workflow_can_do_what_is_forbidden(client: Client, sandbox: str) -> None:
    handle = await client.start_workflow(TriesEverywhere.run, id=uuid4().hex, task_queue=QUEUE)
    assert await handle.query(TriesEverywhere.query) == []
    await handle.execute_update(TriesEverywhere.update)
    await handle.signal(TriesEverywhere.signal)
    assert await handle.result() == {"init": [], "run": [], "update": [], "signal": []}


async def test_a_workflow_knows_the_types_of_its_values(client: Client, sandbox: str) -> None:
    assert await run(client, AsksForTypes) == [True] * 7


async def test_only_the_sdks_own_sandbox_lets_a_module_through_that_is_imported_by_name_alone(
    client: Client, sandbox: str
) -> None:
    assert await run(client, ImportsByName) is (sandbox == "on")


async def test_a_run_that_is_unrestricted_or_ends_leaves_another_at_its_side_as_it_was(
    client: Client, sandbox: str
) -> None:
    HAS_COME.clear()
    MAY_GO.clear()
    stays = asyncio.create_task(run(client, Meets, True))
    try:
        await asyncio.to_thread(HAS_COME.wait)
        assert await run(client, Meets, False) == []
    finally:
        MAY_GO.set()
    assert await stays == []


async def test_a_run_that_is_evicted_is_restricted_on_its_way_out_and_comes_back(
    client: Client, forgetful: None
) -> None:
    handle = await client.start_workflow(IsEvicted.run, id=uuid4().hex, task_queue=FORGETFUL)
    await until(lambda: len(LEFT) == 1)
    await handle.signal(IsEvicted.go)
    assert await handle.result() == []
    assert LEFT == [[], []]


async def test_a_run_that_is_interrupted_since_it_came_to_no_end_goes_on_restricted(
    client: Client, forgetful: None
) -> None:
    assert await run(client, Spins, queue=FORGETFUL) == []
    assert len(SPUN) == 1


def test_time_zones_and_currencies_are_known_without_opening_a_file() -> None:
    """In a process that has looked up none yet, as a worker's first run has not."""
    done = subprocess.run(
        [sys.executable, "-c", POLICY], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
