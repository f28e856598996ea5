"""A worker that is frozen in the middle and wakes up when its saga was undone without it."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.sagas.cancellation import end_of
from tests.sagas.conftest import NewAgent, NewWorker, Place, working_for
from tests.support.driver import Driver, new_id, payment
from tests.support.probe import Probe
from tests.support.until import until

pytestmark = pytest.mark.usefixtures("quick_heartbeat", "quick_bank")

# What the frozen worker holds of workflow tasks is given out again after this.
TASK = timedelta(seconds=2)


@dataclass(frozen=True)
class Zombie:
    """Stops before this, wakes up after this end of its saga, and finds this at the bank."""

    before: str
    end: str
    booked: str | None


ZOMBIES = (
    # The commit that opens the saga and reserves the spend.
    Zombie("AuthorizationApproved", "failed (cancelled)", None),
    # It sends what it was about to send.
    Zombie("transfer", "compensated", "cancelled"),
    # The money has moved, and it was about to say so.
    Zombie("TransferExecuted", "compensated", "reversed"),
)


async def test_what_a_frozen_worker_does_after_the_undo_is_refused_and_on_record(
    client: Client,
    place: Place,
    probe: Probe,
    driver: Driver,
    new_agent: NewAgent,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    # Each costs the start of a worker.
    turn = asyncio.Semaphore(2)

    async def play(zombie: Zombie) -> None:
        queue, marker = new_id("zombie"), tmp_path / zombie.before
        request = payment(await new_agent(), 45_000)
        settings = {"AMENDS_STOPS_BEFORE": zombie.before, "AMENDS_STOPPED": str(marker)}
        async with turn, new_worker(queue, "tests.sagas.stopping_worker", **settings) as worker:
            await worker.start()
            handle = await Driver(client, queue).start(request, task_timeout=TASK)
            await until(worker.is_stopped)
            assert marker.exists()
            await handle.cancel()
            async with working_for(client, place, queue):
                assert await end_of(handle) == zombie.end
                told = await probe.told(request)
                assert "SagaCommitRefused" not in told
                worker.wake()
                await until(lambda: probe.has_told(request, "SagaCommitRefused"))
            assert await worker.stop() == 0
        assert await probe.told(request) == [*told, "SagaCommitRefused"]
        booked = await probe.booked(request)
        assert (booked["status"] if booked else None) == zombie.booked
        assert await probe.deliveries(request) == (1 if booked else 0)
        assert await probe.spent(request["agent_id"]) == (0, 0)

    async with asyncio.TaskGroup() as group:
        for zombie in ZOMBIES:
            group.create_task(play(zombie))
