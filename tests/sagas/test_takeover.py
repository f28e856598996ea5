"""A run that was ended from outside: the same request again carries the saga on, and once."""

from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateStage

from activities.authorizations import authorization_of
from ledger.database import Database
from ledger.sagas.saga_log import begin_compensation, close_saga
from ledger.store.commit import Author
from tests.sagas.conftest import Inject, Landed
from tests.sagas.sweeping import end
from tests.support.driver import USER, Driver, payment, saga_of, until_history
from tests.support.probe import Probe
from tests.support.until import until

ACCEPTED = WorkflowUpdateStage.ACCEPTED
# A cancel is in the history before the worker sees the start.
DELAY = timedelta(seconds=1)


async def test_before_the_worker_saw_it(driver: Driver, probe: Probe, agent: str) -> None:
    request = payment(agent, 45_000)
    await end(await driver.start(request, task_queue="nobody-listens-here"))
    assert (await driver.run(request))["state"] == "captured"
    assert "SagaTakenOver" not in await probe.told(request)


async def test_again_and_again_while_it_waits_for_approval_and_another_request_gets_nothing(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    for _ in range(3):
        await end(await driver.until_waits(request, "approval"))
    other = await driver.start({**request, "description": "something else"})
    assert (await driver.failure(other)).type == "operation_id_reused"
    # It may also time out: we set no such limit, and can't forbid a client to.
    fourth = await driver.start(request, run_timeout=timedelta(seconds=1))
    with pytest.raises(WorkflowFailureError):
        await fourth.result()
    last = await driver.until_waits(request, "approval")
    await driver.tell(request, "approve")
    assert (await last.result())["state"] == "captured"
    assert (await probe.told(request)).count("SagaTakenOver") == 4
    await probe.told_once(request, "ApprovalRequested", "TransferExecuted")
    assert await probe.spent(agent) == (55_000, 1)
    saga = await probe.saga(request)
    assert (saga["epoch"], saga["run_id"]) == (5, last.result_run_id)


async def test_a_run_that_forgot_that_it_compensates_is_fenced_by_itself_and_goes_on_with_it(
    driver: Driver, probe: Probe, ledger: Database, agent: str
) -> None:
    """As after a kill of Temporal between the commit of a cancel and the end of its workflow task:
    the update is lost with the server, and another one comes first."""
    request = payment(agent, 55_000)
    run_id = (await (await driver.until_waits(request, "approval")).describe()).run_id
    author = Author("user:u-17", saga_of(request))
    await begin_compensation(ledger, author, saga_of(request), 1, run_id, "cancelled", None)
    await driver.handle(request).start_update("approve", USER, wait_for_stage=ACCEPTED)
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("voided", "cancelled")
    await probe.told_once(request, "SagaCompensating", "SagaCommitRefused", "AuthorizationVoided")
    assert await probe.spent(agent) == (0, 0)


async def test_the_deadline_for_the_approval_is_still_the_first_one(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000, approve_within="PT2S")
    first = await driver.until_waits(request, "approval")
    asked = await probe.authorization(request)
    await end(first)
    assert (await driver.run(request))["state"] == "expired"
    expired = await probe.event(request, "AuthorizationExpired")
    assert 0 <= (expired["timestamp"] - asked["expires_at"]).total_seconds() < 1.5


async def test_between_the_approval_and_the_capture_its_steps_follow_those_of_the_run_before(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual")
    await driver.submit(request)
    await driver.tell(request, "approve")
    await end(driver.handle(request))
    second = await driver.until_waits(request, "capture")
    await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert (await second.result())["state"] == "captured"
    await probe.told_once(request, "AuthorizationApproved", "TransferExecuted")
    approved, sent = [await probe.step(request, it) for it in ("approve", "execute transfer")]
    assert approved["ordinal"] < sent["ordinal"]


@pytest.mark.parametrize("fault", ["slow", "slow_after"])
async def test_before_or_after_the_bank_did_the_work_and_before_it_answered(
    driver: Driver, probe: Probe, agent: str, inject: Inject, fault: str
) -> None:
    request = payment(agent, 45_000)
    await inject(request, fault, delay_ms=1_500)
    first = await driver.start(request)
    await until(lambda: probe.step(request, "execute transfer"))
    if fault == "slow_after":
        await probe.until_booked(request)
    await end(first)
    assert (await driver.run(request))["state"] == "captured"
    await probe.told_once(request, "SagaTakenOver", "TransferStarted", "TransferExecuted")
    # The attempt of the run that was ended comes back late: the fence refuses it, on record.
    await until(lambda: probe.has_told(request, "SagaCommitRefused"))
    assert fault == "slow" or await probe.deliveries(request) == 1
    assert await probe.spent(agent) == (45_000, 1)


async def test_a_capture_is_not_asked_for_again_in_the_next_run_and_answered_if_it_is_repeated(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000, capture="manual")
    by = {"actor": f"agent:{agent}"}
    await inject(request, "slow_after", delay_ms=700)
    await inject(request, "slow", operation="find", delay_ms=700)
    first = await driver.until_waits(request, "capture")
    await first.start_update("capture", by, wait_for_stage=ACCEPTED)
    await probe.until_booked(request)
    await end(first)
    second = await driver.start(request)
    await until(lambda: probe.has_told(request, "SagaTakenOver"))
    # By itself it is on its way to the bank.
    await until_history(second, "ACTIVITY_TASK_SCHEDULED", 2)
    assert (await driver.tell(request, "capture", by))["result"]["state"] == "captured"
    await probe.told_once(request, "SagaTakenOver", "TransferStarted", "TransferExecuted")
    assert await probe.deliveries(request) == 1
    await until(lambda: probe.has_told(request, "SagaCommitRefused"))


async def test_past_the_pivot(driver: Driver, probe: Probe, agent: str) -> None:
    request = payment(agent, 45_000)
    async with probe.refusing(request, "AuthorizationCaptured") as has_refused:
        first = await driver.start(request)
        await until(has_refused)
        await end(first)
    assert (await driver.run(request))["state"] == "captured"
    await probe.told_once(request, "TransferExecuted", "AuthorizationCaptured")
    assert await probe.deliveries(request) == 1


@pytest.mark.usefixtures("quick_heartbeat")
async def test_while_it_compensates_it_goes_on_compensating(
    driver: Driver, probe: Probe, agent: str, inject: Inject, landed: Landed
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "slow_after", operation="reverse", delay_ms=60_000)
    first = await landed(request, "slow_after", delay_ms=500)
    await driver.tell(request, "cancel", {"actor": "user:u-18", "reason": "changed my mind"})
    await until(lambda: probe.is_booked_as(request, "reversed"))
    await end(first)
    result = await driver.run(request)
    assert (result["state"], result["reason"]) == ("compensated", "cancelled")
    await probe.told_once(request, "SagaTakenOver", "SagaCompensating", "TransferReversed")
    await probe.told_once(request, "AuthorizationCompensated")
    assert await probe.spent(agent) == (0, 0)


async def test_between_two_undos(driver: Driver, probe: Probe, agent: str) -> None:
    request = payment(agent, 55_000)
    async with probe.refusing(request, "AuthorizationRejected") as has_refused:
        first = await driver.until_waits(request, "approval")
        await first.start_update("reject", {"actor": "user:u-17"}, wait_for_stage=ACCEPTED)
        await until(has_refused)
        await end(first)
    assert (await driver.run(request))["state"] == "rejected"
    await probe.told_once(request, "SagaCompensating", "AuthorizationRejected")


async def test_a_denial_stays_a_denial_when_it_is_cancelled_in_the_next_run(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 70_000)
    async with probe.refusing(request, "SagaCompleted") as has_refused:
        first = await driver.start(request)
        await until(has_refused)
        await end(first)
    second = await driver.start(request, start_delay=DELAY)
    await second.cancel()
    result = await second.result()
    assert (result["state"], result["reason"]) == ("denied", "exceeded_max_transaction_limit")


async def test_a_late_attempt_that_ends_the_saga_meanwhile_has_the_last_word(
    driver: Driver, probe: Probe, ledger: Database, agent: str
) -> None:
    request = payment(agent, 70_000)
    denied = {"state": "denied", "reason": "exceeded_max_transaction_limit"}
    denied["authorization_id"] = authorization_of(saga_of(request))
    async with probe.refusing(request, "SagaTakenOver") as is_kept_waiting:
        async with probe.refusing(request, "SagaCompleted") as has_refused:
            first = await driver.start(request)
            await until(has_refused)
            await end(first)
            second = await driver.start(request)
            await until(is_kept_waiting)
        author = Author(f"agent:{agent}", saga_of(request))
        await close_saga(ledger, author, saga_of(request), 1, "completed", denied)
    assert (await second.result()).items() >= denied.items()
    assert "SagaTakenOver" not in await probe.told(request)


async def test_a_run_that_is_reset_after_its_end_gives_the_first_answer(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    first = await driver.run(request)
    await driver.reset(request)
    assert await driver.result(request) == first
    assert await probe.deliveries(request) == 1
    assert await probe.spent(agent) == (45_000, 1)
