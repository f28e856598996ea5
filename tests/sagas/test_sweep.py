"""Runs that Temporal lost, by where the saga was: it is found, and carried to its end."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateStage
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from tests.sagas.conftest import Inject, Landed
from tests.sagas.sweeping import Sweeper, end, forget, lost, waiting
from tests.support.driver import USER, Driver, new_id, payment, policy, saga_of, until_waits_for
from tests.support.probe import Probe
from tests.support.until import until

ACCEPTED = WorkflowUpdateStage.ACCEPTED


@pytest.mark.parametrize("found", ["terminated", "timed_out", "not_found"])
async def test_a_run_that_was_terminated_or_timed_out_or_whose_history_was_deleted(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str, found: str
) -> None:
    request = payment(agent, 55_000)
    if found == "timed_out":
        # We set no such limit, and can't forbid a client to.
        handle = await driver.start(request, run_timeout=timedelta(seconds=1))
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    else:
        await end(await driver.until_waits(request, "approval"))
    if found == "not_found":
        await forget(driver.client, saga_of(request))
    result = await sweeper.recover(request)
    assert (result["state"], result["reason"]) == ("compensated", "lost_run")
    assert await probe.spent(agent) == (0, 0)
    await probe.told_once(request, "SagaLost", "SagaCompensating", "SagaTakenOver")
    await probe.told_once(request, "AuthorizationCompensated")
    loss = await probe.event(request, "SagaLost")
    assert (loss["user_id"], loss["payload"]["found"]) == ("system:amends", found)
    # It has the workflow id of the saga: whoever asks finds the answer there, and whoever repeats
    # the request gets it.
    assert await driver.result(request) == result
    assert await driver.run(request) == result


@pytest.mark.usefixtures("quick_heartbeat")
@pytest.mark.parametrize("fault", ["slow_after", "timeout_after"])
async def test_terminated_after_the_bank_did_the_work_and_before_it_answered_or_was_asked_again(
    probe: Probe, sweeper: Sweeper, agent: str, inject: Inject, landed: Landed, fault: str
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_before", operation="find", remaining=3)
    handle = await landed(request, fault, delay_ms=2_000 if fault == "slow_after" else 0)
    if fault == "timeout_after":
        await until(lambda: probe.has_told(request, "StepLeftUnknown"))
    await end(handle)
    assert (await sweeper.recover(request))["state"] == "compensated"
    assert await probe.is_booked_as(request, "reversed")
    await probe.told_once(request, "TransferReversed", "AuthorizationCompensated")
    assert await probe.deliveries(request) == 1
    assert await probe.spent(agent) == (0, 0)


async def test_terminated_before_the_bank_did_the_work(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "slow", delay_ms=1_500)
    handle = await driver.start(request)
    await until(lambda: probe.step(request, "execute transfer"))
    await end(handle)
    assert (await sweeper.recover(request))["state"] == "compensated"
    # The order that was under way arrives late: the bank refuses its key, the fence its commit.
    await until(lambda: probe.has_told(request, "SagaCommitRefused"))
    assert await probe.is_booked_as(request, "cancelled")
    await probe.told_once(request, "TransferCancelled")


async def test_terminated_past_the_pivot_it_goes_forward(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with sweeper.losing(request, "AuthorizationCaptured"):
        await driver.start(request)
    assert (await sweeper.recovered(request))["state"] == "captured"
    await probe.told_once(request, "SagaLost", "TransferExecuted", "AuthorizationCaptured")
    assert "SagaCompensating" not in await probe.told(request)
    assert await probe.deliveries(request) == 1
    assert await probe.spent(agent) == (45_000, 1)


async def test_a_policy_that_was_set_is_not_taken_back(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    request = policy(agent)
    async with sweeper.losing(request, "SagaCompleted"):
        await driver.start(request)
    assert (await sweeper.recovered(request))["state"] == "set"
    await probe.told_once(request, "SagaLost", "PolicySet", "SagaCompleted")


async def test_terminated_during_the_undo_it_goes_on_with_it_and_the_first_cause_stands(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    request = await waiting(driver, agent)
    async with sweeper.losing(request, "AuthorizationRejected"):
        await driver.handle(request).start_update("reject", USER, wait_for_stage=ACCEPTED)
    assert (await sweeper.recovered(request, epoch=2))["state"] == "rejected"
    await probe.told_once(request, "SagaLost", "SagaCompensating", "AuthorizationRejected")


async def test_two_sweeps_at_once_recover_it_once(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    wanted = ["approval", *["capture"] * 4]
    requests = await asyncio.gather(*(lost(driver, agent, what) for what in wanted))
    await asyncio.gather(*(sweeper.sweep() for _ in range(3)))
    for request in requests:
        assert (await sweeper.recovery(saga_of(request)).result())["how"] == "recovered"
        await probe.told_once(request, "SagaLost", "SagaTakenOver", "AuthorizationCompensated")
    assert await probe.spent(agent) == (0, 0)


async def test_a_saga_that_lives_or_that_a_client_has_just_started_again_is_left_alone(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    request = await waiting(driver, agent)
    assert await sweeper.leaves(request)
    await end(driver.handle(request))
    async with probe.refusing(request, "SagaTakenOver") as is_kept_waiting:
        second = await driver.start(request)
        await until(is_kept_waiting)
        assert await sweeper.leaves(request)
    await until_waits_for(second, "approval")
    assert await sweeper.leaves(request)
    await driver.tell(request, "approve")
    assert (await second.result())["state"] == "captured"
    assert "SagaLost" not in await probe.told(request)


async def test_a_client_that_comes_while_it_is_recovered_follows_though_the_recovery_is_terminated(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(driver, agent)
    async with sweeper.recovering(request):
        with pytest.raises(WorkflowAlreadyStartedError):
            await driver.start(request)
        submitted = asyncio.create_task(driver.submit(request))
        await until(lambda: probe.has_told(request, "SagaDuplicateReceived"))
        assert await sweeper.leaves(request)
        await end(sweeper.recovery(saga_of(request)))
    assert (await submitted)["state"] in ("compensating", "compensated")
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("compensated", "lost_run")
    await probe.told_once(request, "SagaLost", "SagaTakenOver", "AuthorizationCompensated")


async def test_a_client_that_ends_the_recovering_run_goes_on_with_the_undo(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(driver, agent)
    async with sweeper.recovering(request):
        policy = WorkflowIDConflictPolicy.TERMINATE_EXISTING
        third = await driver.start(request, id_conflict_policy=policy)
    assert (await third.result())["reason"] == "lost_run"
    await probe.told_once(request, "SagaLost", "SagaCompensating", "AuthorizationCompensated")
    assert (await driver.failure(sweeper.recovery(saga_of(request)))).type == "still_open"


async def test_a_client_and_a_sweep_at_the_same_moment(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    requests = await asyncio.gather(*(lost(driver, agent, "capture") for _ in range(8)))
    await asyncio.gather(
        *(driver.submit(request) for request in requests[:4]),
        *(sweeper.sweep() for _ in range(2)),
        *(driver.submit(request) for request in requests[4:]),
    )
    for request in requests:
        told = await probe.told(request)
        # Either of them has it, and where both have seen it, the loss stands.
        if "SagaLost" in told:
            assert (await driver.result(request))["reason"] == "lost_run"
        else:
            await driver.tell(request, "cancel")
            assert (await driver.result(request))["state"] == "voided"
        await probe.told_once(request, "SagaTakenOver", "SagaCompensating", "SagaCompensated")
    assert await probe.spent(agent) == (0, 0)


async def test_a_recovering_run_that_is_terminated_too_is_found_by_the_next_sweep(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(driver, agent)
    async with sweeper.recovering(request):
        await end(driver.handle(request))
        with pytest.raises(WorkflowFailureError):
            await sweeper.recovery(saga_of(request)).result()
        epoch = (await probe.saga(request))["epoch"]
        await sweeper.find(request)
    assert (await sweeper.recovered(request, epoch))["state"] == "compensated"
    await probe.told_once(request, "SagaCompensating", "AuthorizationCompensated")
    assert (await probe.told(request)).count("SagaLost") == 2


async def test_the_recovery_of_what_is_no_saga_says_so(driver: Driver, sweeper: Sweeper) -> None:
    recovery = await sweeper.start_recovery(f"payment/{new_id('nobody')}")
    failure = await driver.failure(recovery)
    assert failure.type == "InvalidInput"
    assert failure.details == ({"field": "saga_id", "reason": "no such saga in the ledger"},)
