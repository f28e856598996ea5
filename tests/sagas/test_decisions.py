"""What people and agents decide while a payment waits: approve, reject, capture, cancel."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import RPCError, WorkflowUpdateFailedError

from starter import Amends
from tests.sagas.conftest import QUEUE, Inject
from tests.support.driver import USER, Driver, payment, raw, registration, saga_of, until_history
from tests.support.probe import Probe
from tests.support.until import until

# The cancel is in the history before the worker sees the start.
DELAY = timedelta(seconds=1)
OTHER_USER = {"actor": "user:u-18", "reason": "too dear"}


async def test_a_rejected_payment_gives_its_spend_back(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    answer = await driver.tell(request, "reject", OTHER_USER)
    assert answer["reason"] == "rejected"
    assert answer["state"] in ("compensating", "compensated")
    result = await driver.result(request)
    assert (result["state"], result["reason"], result["transfer_id"]) == (
        *("rejected", "rejected"),
        None,
    )
    event = await probe.event(request, "AuthorizationRejected")
    assert (event["user_id"], event["payload"]["reason"]) == ("user:u-18", "too dear")
    assert await probe.spent(agent) == (0, 0)
    assert await probe.booked(request) is None
    saga = await probe.saga(request)
    assert saga is not None
    assert saga["state"] == "compensated"


async def test_a_deadline_that_passes_gives_the_spend_back(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000, approve_within="PT1S")
    result = await driver.run(request)
    assert (result["state"], result["reason"]) == ("expired", "approval_expired")
    assert await probe.spent(agent) == (0, 0)
    requested = (await probe.event(request, "AuthorizationRequested"))["timestamp"]
    expired = await probe.event(request, "AuthorizationExpired")
    assert (expired["timestamp"] - requested).total_seconds() >= 1
    assert expired["user_id"] == "system:amends"


async def test_a_second_approval_is_refused_and_changes_nothing(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual")
    await driver.submit(request)
    await driver.tell(request, "approve")
    for verb in ("approve", "reject"):
        refusal = await driver.refusal(request, verb, OTHER_USER)
        assert refusal.type == "not_allowed"
        assert "approved and waits for capture" in refusal.message
    await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert (await driver.result(request))["state"] == "captured"
    assert (await probe.event(request, "AuthorizationApproved"))["user_id"] == "user:u-17"


async def test_of_two_approvals_at_once_one_counts(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual")
    await driver.submit(request)
    answers = await asyncio.gather(
        *(driver.tell(request, "approve", by) for by in (USER, OTHER_USER)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, WorkflowUpdateFailedError)]
    assert len(refused) == 1
    await probe.event(request, "AuthorizationApproved")
    await driver.tell(request, "cancel")
    assert (await driver.result(request))["state"] == "voided"


async def test_an_approval_after_the_rejection_comes_too_late(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    await driver.tell(request, "reject")
    with pytest.raises((RPCError, WorkflowUpdateFailedError)):
        await driver.tell(request, "approve")
    assert (await driver.result(request))["state"] == "rejected"
    assert "AuthorizationApproved" not in await probe.told(request)


async def test_nobody_but_a_user_approves(driver: Driver, agent: str) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    for actor, why in ((f"agent:{agent}", "not_allowed"), ("system:amends", "InvalidInput")):
        assert (await driver.refusal(request, "approve", {"actor": actor})).type == why
    assert (await driver.progress(request))["waits_for"] == "approval"
    await driver.tell(request, "reject")
    assert (await driver.result(request))["state"] == "rejected"


BAD = [
    ({}, "actor"),
    ({"actor": "canary"}, "actor"),
    ({"actor": "user:u-17", "reason": "canary" * 50}, "reason"),
    ({"actor": "user:u-17", "reason": "canary\u0000"}, "reason"),
    ({"actor": "user:u-17", "extra": "canary"}, "extra"),
    ("canary", "input"),
    (None, "input"),
    (raw(b"{canary"), "input"),
]


@pytest.mark.parametrize("update", ["approve", "reject", "capture", "cancel"])
async def test_an_update_with_bad_input_is_refused_and_the_saga_goes_on(
    driver: Driver, agent: str, update: str
) -> None:
    request = payment(agent, 45_000 if update == "capture" else 55_000, capture="manual")
    before = await driver.submit(request)
    for by, field in BAD:
        refusal = await driver.refusal(request, update, by)
        assert refusal.type == "InvalidInput"
        assert [problem["field"] for problem in refusal.details] == [field]
        assert "canary" not in refusal.message + str(refusal.details)
    assert await driver.progress(request) == before
    await driver.tell(request, "cancel")
    assert (await driver.result(request))["state"] == "voided"


async def test_an_update_that_does_not_exist_is_refused_and_the_saga_goes_on(
    driver: Driver, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    assert "aprove" in (await driver.refusal(request, "aprove")).message
    await driver.tell(request, "approve")
    assert (await driver.result(request))["state"] == "captured"


async def test_a_manual_capture_waits_for_the_agent(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000, capture="manual")
    approved = await driver.submit(request)
    assert (approved["decision"], approved["waits_for"]) == ("approved", "capture")
    assert await probe.booked(request) is None
    captured = await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert captured["result"]["state"] == "captured"
    assert (await probe.event(request, "TransferStarted"))["user_id"] == f"agent:{agent}"


async def test_captures_at_once_and_afterwards_are_one_transfer(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await driver.submit(request)
    await inject(request, "slow", delay_ms=200)
    by = {"actor": f"agent:{agent}"}
    answers = await asyncio.gather(*(driver.tell(request, "capture", by) for _ in range(8)))
    sdk = Amends(driver.client, {"AMENDS_PAYMENTS_QUEUE": QUEUE})
    later = await sdk.capture(saga_of(request), actor=by["actor"])
    assert later.result is not None
    transfers = {answer["result"]["transfer_id"] for answer in answers}
    assert transfers == {later.result["transfer_id"]}
    assert await probe.deliveries(request) == 1


async def test_what_is_not_approved_is_not_captured(
    driver: Driver, probe: Probe, agent: str
) -> None:
    pending, denied = payment(agent, 55_000), payment(agent, 70_000)
    await driver.submit(pending)
    assert (await driver.refusal(pending, "capture")).type == "not_allowed"
    await driver.submit(denied)
    with pytest.raises((RPCError, WorkflowUpdateFailedError)):
        await driver.tell(denied, "capture")
    await driver.tell(pending, "reject")
    assert (await driver.result(pending))["state"] == "rejected"
    assert [await probe.booked(request) for request in (pending, denied)] == [None, None]


async def test_a_capture_after_the_agent_was_revoked_is_refused(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await driver.submit(request)
    await driver.run(registration(agent, "revoke"))
    answer = await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert answer["result"]["state"] == "compensated"
    assert (await driver.result(request))["reason"] == "agent_revoked"
    assert await probe.spent(agent) == (0, 0)
    assert await probe.booked(request) is None


@pytest.mark.parametrize(("pesos", "waits_for"), [(55_000, "approval"), (45_000, "capture")])
async def test_a_payment_that_is_cancelled_while_it_waits_is_voided(
    driver: Driver, probe: Probe, agent: str, pesos: int, waits_for: str
) -> None:
    request = payment(agent, pesos, capture="manual")
    assert (await driver.submit(request))["waits_for"] == waits_for
    answer = await driver.tell(request, "cancel", OTHER_USER)
    assert answer["state"] in ("compensating", "compensated")
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("voided", "cancelled")
    event = await probe.event(request, "AuthorizationVoided")
    assert (event["user_id"], event["payload"]["reason"]) == ("user:u-18", "too dear")
    assert await probe.spent(agent) == (0, 0)


async def test_temporals_own_cancel_undoes_too_however_often_it_comes(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    for _ in range(3):
        await driver.handle(request).cancel()
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("voided", "cancelled")
    assert (await probe.event(request, "AuthorizationVoided"))["user_id"] == "system:temporal"
    assert await probe.spent(agent) == (0, 0)


async def test_a_cancel_meets_a_decision_that_can_not_be_put_on_record(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    async with probe.refusing(request, "AuthorizationApproved"):
        approval = asyncio.create_task(driver.refusal(request, "approve"))
        # The step that fails leaves the workflow task after a while and waits on a timer.
        await until_history(driver.handle(request), "EVENT_TYPE_TIMER_STARTED", 2)
        await driver.handle(request).cancel()
        assert (await approval).type == "not_allowed"
    assert (await driver.result(request))["state"] == "voided"
    assert await probe.spent(agent) == (0, 0)


async def test_a_cancel_before_anything_was_held_fails_the_saga(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    handle = await driver.start(request, start_delay=DELAY)
    await handle.cancel()
    failure = await driver.failure(handle)
    assert failure.type == "cancelled"
    assert await probe.told(request) == ["SagaStarted", "SagaCompensating", "SagaFailed"]


async def test_a_cancel_past_the_pivot_is_refused_and_the_payment_is_settled(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with probe.refusing(request, "AuthorizationCaptured"):
        handle = await driver.start(request)
        # The step that fails leaves the workflow task after a while and waits on a timer.
        await until_history(handle, "EVENT_TYPE_TIMER_STARTED")
        refusal = await driver.refusal(request, "cancel")
        await handle.cancel()
    assert refusal.type == "not_allowed"
    assert "past its pivot" in refusal.message
    assert (await driver.result(request))["state"] == "captured"


async def test_a_step_past_the_pivot_that_fails_is_shown_and_tried_again(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with probe.refusing(request, "AuthorizationCaptured", sqlstate="22023"):
        await driver.start(request)

        async def is_shown() -> bool:
            return bool((await driver.progress(request))["waits_for"] == "settle")

        await until(is_shown)
        step = await driver.step(request, "settle")
        assert (step["state"], step["tries"]) == ("running", 3)
        assert step["detail"].startswith("PostgreSQL: InvalidParameterValue (22023); tried again")
        assert await probe.is_booked_as(request, "executed")
    assert (await driver.result(request))["state"] == "captured"
    assert "SagaCompensating" not in await probe.told(request)
