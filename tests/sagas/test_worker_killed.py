"""A worker that dies, hangs, leaves or is frozen in the middle: each payment happens once."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from activities import sending
from tests.sagas.cancellation import end_of
from tests.sagas.conftest import Inject, NewAgent, NewWorker, Place, working_for
from tests.support.driver import Driver, new_id, payment, until_waits_for
from tests.support.probe import Probe
from tests.support.until import until

# Longer than any test: whoever waits for this is killed.
HANGS_MS = 600_000


async def test_a_worker_that_is_killed_anywhere_leaves_nothing_undone_or_done_twice(
    driver: Driver, probe: Probe, new_agent: NewAgent, inject: Inject, new_worker: NewWorker
) -> None:
    queue = new_id("killed")
    driver = replace(driver, queue=queue)
    agents = [await new_agent() for _ in range(4)]
    landed, unheard, unsent = (payment(agent, 45_000) for agent in agents[:3])
    waiting, overdue = (payment(agent, 55_000) for agent in agents[:2])
    undoing, reserving = payment(agents[2], 50_000), payment(agents[3], 40_000)
    unseen = payment(agents[3], 10_000)
    await inject(landed, "slow_after", delay_ms=HANGS_MS)
    await inject(unheard, "timeout_after", delay_ms=HANGS_MS)
    await inject(unsent, "slow", delay_ms=HANGS_MS)
    await inject(undoing, "slow_after", delay_ms=500)
    await inject(undoing, "slow_after", operation="reverse", delay_ms=HANGS_MS)
    overdue["approve_within"] = "PT2S"

    async with new_worker(queue) as worker:
        await worker.start()
        sent = [await driver.start(each) for each in (landed, unheard, unsent, undoing)]
        held = [await driver.start(each) for each in (waiting, overdue)]
        await probe.until_booked(undoing)
        await driver.handle(undoing).cancel()
        await until(lambda: probe.is_booked_as(undoing, "reversed"))
        for request in (landed, unheard):
            await probe.until_booked(request)
        await until(lambda: probe.step(unsent, "execute transfer"))
        for handle in held:
            await until_waits_for(handle, "approval")
        async with probe.locking(
            "SELECT FROM ledger.agents WHERE agent_id = %s FOR UPDATE", agents[3]
        ):
            # What a killed worker did not finish of a workflow task is given out again after this.
            sent.append(await driver.start(reserving, task_timeout=timedelta(seconds=2)))
            await until(probe.someone_waits)
            await worker.kill()
        sent.append(await driver.start(unseen))
        late = asyncio.create_task(driver.refusal(overdue, "approve"))
        await until(lambda: probe.is_overdue(overdue))

        await worker.start()
        await driver.tell(waiting, "approve")
        ends = [(await handle.result())["state"] for handle in sent]
        assert ends == ["captured"] * 3 + ["compensated"] + ["captured"] * 2
        assert (await driver.result(waiting))["state"] == "captured"
        # Approved by the clock of the person, expired by the clock of the database.
        assert "approval_expired" in (await late).message
        assert (await driver.result(overdue))["state"] == "expired"
        assert await worker.stop() == 0
    assert [await probe.deliveries(each) for each in (landed, unheard, unsent)] == [1, 1, 1]
    assert (await probe.told(undoing)).count("TransferReversed") == 1
    assert [(await probe.spent(agent))[0] for agent in agents] == [100_000, 45_000, 45_000, 50_000]


@pytest.mark.usefixtures("quick_heartbeat")
async def test_an_attempt_that_was_given_up_and_wakes_up_changes_nothing(
    driver: Driver, probe: Probe, agent: str, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "heartbeat", nullcontext)
    wakes_ms = 4_000  # long after somebody else has done its work
    goes_on, compensated = payment(agent, 45_000), payment(agent, 40_000)
    for request in (goes_on, compensated):
        await inject(request, "slow", delay_ms=wakes_ms)
    handles = [await driver.start(each) for each in (goes_on, compensated)]
    await until(lambda: probe.step(compensated, "execute transfer"))
    await handles[1].cancel()
    assert [(await each.result())["state"] for each in handles] == ["captured", "compensated"]
    assert await probe.is_booked_as(compensated, "cancelled")
    # Now it sends what it was about to send.
    await until(lambda: probe.is_delivered(goes_on, 2))
    await until(lambda: probe.is_delivered(compensated, 1))
    await until(lambda: probe.has_told(compensated, "SagaCommitRefused"))
    assert (await probe.told(goes_on)).count("TransferExecuted") == 1
    assert await probe.is_booked_as(compensated, "cancelled")
    assert await probe.spent(agent) == (45_000, 1)


async def test_a_worker_that_is_told_to_stop_finishes_what_runs_and_one_without_sandbox_goes_on(
    driver: Driver, probe: Probe, agent: str, inject: Inject, new_worker: NewWorker
) -> None:
    queue = new_id("stopped")
    driver = replace(driver, queue=queue)
    running, waiting = payment(agent, 45_000), payment(agent, 55_000)
    await inject(running, "slow_after", delay_ms=1_000)
    async with new_worker(queue) as worker:
        await worker.start()
        await worker.until_health(200)
        await driver.submit(waiting)
        await driver.start(running)
        await probe.until_booked(running)
        assert await worker.stop() == 0
    assert "TransferExecuted" in await probe.told(running)
    async with new_worker(queue, AMENDS_WORKFLOW_SANDBOX="off") as worker:
        await worker.start()
        await driver.tell(waiting, "approve")
        assert [(await driver.result(it))["state"] for it in (running, waiting)] == ["captured"] * 2
        assert await worker.stop() == 0
    assert [await probe.deliveries(it) for it in (running, waiting)] == [1, 1]


async def test_a_cancel_between_the_transfer_and_its_settlement_brings_the_money_back(
    driver: Driver, probe: Probe, agent: str, new_worker: NewWorker
) -> None:
    queue = new_id("settled")
    driver = replace(driver, queue=queue)
    request = payment(agent, 45_000)
    async with new_worker(queue) as worker:
        async with probe.refusing(request, "SagaCompleted") as has_refused:
            await worker.start()
            first = await driver.start(request)
            await until(has_refused)
            # Killed, so that no late attempt closes the saga.
            await worker.kill()
        assert "AuthorizationCaptured" not in await probe.told(request)
        await first.terminate("ended by a test")
        second = await driver.start(request)
        await second.cancel()
        await worker.start()
        assert (await second.result())["state"] == "compensated"
        assert await worker.stop() == 0
    assert await probe.is_booked_as(request, "reversed")
    assert await probe.spent(agent) == (0, 0)


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


@pytest.mark.usefixtures("quick_heartbeat")
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
