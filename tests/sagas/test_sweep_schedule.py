"""The schedule that sweeps: in place wherever a worker runs, once, and as its settings say."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleOverlapPolicy,
)
from temporalio.service import RPCError

from tests.sagas.conftest import SWEEP_QUEUE, NewWorker, Place
from tests.sagas.sweeping import lost
from tests.support.driver import Driver, new_id
from tests.support.probe import Probe
from tests.support.until import until
from worker.settings import Settings
from worker.sweep_schedule import SCHEDULE, keep_schedule

OVERLAPPING = ScheduleOverlapPolicy.ALLOW_ALL


@pytest.fixture
async def schedule(client: Client) -> AsyncIterator[ScheduleHandle]:
    """The schedule, which is not there yet; nothing is left behind."""
    handle = client.get_schedule_handle(SCHEDULE)
    with suppress(RPCError):
        await handle.delete()
    yield handle
    await handle.delete()


@pytest.fixture
def settings(place: Place) -> Settings:
    # Nothing runs by itself while a test looks.
    return replace(place.settings, sweep_interval="P1D")


def every(described: ScheduleDescription) -> list[timedelta]:
    return [interval.every for interval in described.schedule.spec.intervals]


async def test_it_is_created_once_and_follows_the_settings_and_whoever_paused_it_finds_it_paused(
    client: Client, schedule: ScheduleHandle, settings: Settings
) -> None:
    await keep_schedule(client, settings)
    await keep_schedule(client, settings)
    described = await schedule.describe()
    assert every(described) == [timedelta(days=1)]
    assert described.schedule.policy.overlap == ScheduleOverlapPolicy.SKIP
    assert described.schedule.state.paused is False
    await schedule.pause(note="while Temporal moves")
    await keep_schedule(client, replace(settings, sweep_interval="PT20H", sweep_queue="another"))
    described = await schedule.describe()
    assert every(described) == [timedelta(hours=20)]
    action, state = described.schedule.action, described.schedule.state
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert (action.workflow, action.task_queue) == ("SweepWorkflow", "another")
    assert (state.paused, state.note) == (True, "while Temporal moves")


async def test_its_run_recovers_what_was_lost(
    driver: Driver, probe: Probe, schedule: ScheduleHandle, settings: Settings, agent: str
) -> None:
    await keep_schedule(driver.client, settings)
    request = await lost(driver, agent)
    await schedule.trigger(overlap=OVERLAPPING)
    await until(lambda: probe.has_told(request, "SagaCompensated"))
    ran = (await schedule.describe()).info.recent_actions[-1].action
    assert isinstance(ran, ScheduleActionExecutionStartWorkflow)
    assert ran.workflow_id.startswith("sweep-")
    assert settings.sweep_queue == SWEEP_QUEUE


async def test_a_worker_puts_it_in_place_when_it_starts_and_records_runs_that_closed_meanwhile(
    driver: Driver, probe: Probe, agent: str, new_worker: NewWorker, schedule: ScheduleHandle
) -> None:
    queue, request = new_id("sweeping"), await lost(driver, agent)

    async def sweeps_on() -> str | None:
        try:
            action = (await schedule.describe()).schedule.action
        except RPCError:
            return None
        return action.task_queue if isinstance(action, ScheduleActionStartWorkflow) else None

    async with new_worker(queue, AMENDS_SWEEP_INTERVAL="P1D") as worker:
        await worker.start()
        assert await until(sweeps_on) == f"{queue}-sweep"
        await until(lambda: probe.has_told(request, "SagaRunClosed"))
    # Nothing is undone by that: it goes on when the request is repeated.
    await driver.until_waits(request, "approval")
    await driver.tell(request, "reject")
    assert (await driver.result(request))["state"] == "rejected"
