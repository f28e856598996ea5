"""A change whose run Temporal lost is undone, in the reverse order of its dependencies."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import Client

from activities.orphans import Care, OrphanedSagas
from ledger.database import Database
from tests.infrastructure.driver import ChangeDriver, Target, after, role, told
from worker.wiring import undos, worker
from workflows.recovery import RecoverySaga

QUEUE = "infrastructure-recoveries"


@pytest.fixture
async def recovering(working: Client, database: Database) -> AsyncIterator[Client]:
    """A client with a worker for recoveries behind it."""
    room = OrphanedSagas(database, working, Care(grace=timedelta()), undos())
    async with worker(working, QUEUE, [RecoverySaga], [room]):
        yield working


async def test_a_change_that_was_terminated_half_way_is_undone(
    driver: ChangeDriver, target: Target, ledger: Database, recovering: Client, prefix: str
) -> None:
    first, second, last = prefix + "first", prefix + "second", prefix + "last"
    present = [role(first), after(role(second), first), after(role(last), second)]
    saga_id = f"change/{prefix}1"
    begin = driver.change(prefix + "1", present=present)
    async with target.stopped_at(ledger, last, begin) as handle:
        await handle.terminate()
    recovered = await recovering.execute_workflow(
        "RecoverySaga",
        {"saga_id": saga_id, "epoch": 1},
        id=f"recovery/{saga_id}/1",
        task_queue=QUEUE,
        result_type=dict,
    )
    assert (recovered["state"], recovered["result"]["reason"]) == ("compensated", "lost_run")
    assert recovered["result"]["notes"] == ["its run was lost: terminated"]
    assert await target.names(prefix) == set()
    written = await told(ledger, f"saga/{saga_id}")
    kept = [each for each in written if each != "SagaCommitRefused"]
    assert kept == [
        *("SagaStarted", "SagaLost", "SagaCompensating", "SagaTakenOver", "SagaCompensated")
    ]
