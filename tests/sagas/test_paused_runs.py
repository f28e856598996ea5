"""A run that a person paused in Temporal is open: nobody takes it over, and it stops no sweep."""

from dataclasses import replace

import pytest
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.testing import ActivityEnvironment

from activities.runs import PAUSED, namespace_id, status_named, status_of
from activities.saga_records import OtherRun, SagaActivities
from ledger.database import Database
from tests.sagas.sweeping import Sweeper, end, waiting
from tests.support.driver import Driver, saga_of
from tests.support.pausing import paused
from tests.support.probe import Probe
from workflows.contract.waits import paused_wait, paused_words

CLOSED = {"COMPLETED", "FAILED", "CANCELED", "TERMINATED", "TIMED_OUT"}


async def test_a_paused_saga_stops_no_sweep_and_is_shown_with_what_to_do(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    stands, lost = await waiting(driver, agent, "capture"), await waiting(driver, agent, "capture")
    async with paused(driver.client, saga_of(stands)):
        await end(driver.handle(lost))
        swept = await sweeper.sweep()
        assert swept["recovering"] == [saga_of(lost)]
        (sentence,) = swept["stopped"]
        assert f"{saga_of(stands)} is paused in Temporal: temporal workflow unpause" in sentence
        assert (await sweeper.recovered(lost))["state"] == "compensated"
        told = await probe.told(stands)
        recovery = await sweeper.start_recovery(saga_of(stands))
        assert (await recovery.result())["how"] == "open"
        assert await probe.told(stands) == told
    await driver.tell(stands, "capture", {"actor": f"agent:{agent}"})
    assert (await driver.result(stands))["state"] == "captured"
    assert "stopped" not in await sweeper.sweep()


async def test_a_cancel_of_a_paused_run_compensates_it_when_it_is_unpaused(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = await waiting(driver, agent, "capture")
    async with paused(driver.client, saga_of(request)):
        await driver.handle(request).cancel()
        told = await probe.told(request)
    assert (await driver.result(request))["state"] == "voided"
    assert "SagaCompensating" not in told
    assert await probe.spent(agent) == (0, 0)


async def test_a_paused_run_is_not_taken_over(driver: Driver, ledger: Database, agent: str) -> None:
    request = await waiting(driver, agent, "capture")
    run_id = (await driver.handle(request).describe()).run_id
    other = OtherRun(
        namespace=driver.client.namespace,
        namespace_id=await namespace_id(driver.client),
        run_id=run_id,
        epoch=1,
    )
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=saga_of(request))
    ask = SagaActivities(ledger, driver.client).is_run_open
    async with paused(driver.client, saga_of(request)):
        assert await environment.run(ask, other) is True
        assert (await status_of(driver.client, saga_of(request))).name == PAUSED
    await end(driver.handle(request))
    assert await environment.run(ask, other) is False
    await driver.until_waits(request, "capture")
    await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert (await driver.result(request))["state"] == "captured"


@pytest.mark.parametrize("number", [*Status.values(), 9, 99])
def test_a_status_is_closed_only_if_it_is_known_to_be_closed(number: int) -> None:
    known = dict(zip(Status.values(), Status.keys(), strict=True))
    name = known.get(Status.ValueType(number), "").removeprefix("WORKFLOW_EXECUTION_STATUS_")
    status = status_named(number)
    assert status.is_closed == (name in CLOSED)
    is_known = name in {*CLOSED, "RUNNING", "PAUSED", "CONTINUED_AS_NEW"}
    assert (status.name == f"status {number}") == (not is_known)
    assert status.is_stopped == (not status.is_closed and status.name != "running")
    if status.is_stopped:
        words = paused_words("payment/x", paused_wait("payment/x", status.name))
        assert status.name in words
        assert words.endswith("--workflow-id payment/x")
