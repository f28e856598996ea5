"""What people and agents decide while a payment waits: approve, reject, capture, cancel."""

import asyncio
from datetime import timedelta
from itertools import product

import pytest
from temporalio.client import RPCError, WorkflowUpdateFailedError

from starter import Amends
from tests.sagas.conftest import QUEUE, Inject
from tests.sagas.sweeping import end
from tests.support.driver import (
    USER,
    Driver,
    Json,
    payment,
    raw,
    registration,
    saga_of,
    until_history,
)
from tests.support.probe import Probe

# The cancel is in the history before the worker sees the start.
DELAY = timedelta(seconds=1)
OTHER_USER = {"actor": "user:u-18", "reason": "too dear"}
REFUSED = (RPCError, WorkflowUpdateFailedError)


async def test_a_rejected_payment_gives_its_spend_back_and_an_approval_comes_too_late(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    answer = await driver.tell(request, "reject", OTHER_USER)
    assert answer["reason"] == "rejected"
    assert answer["state"] in ("compensating", "compensated")
    with pytest.raises(REFUSED):
        await driver.tell(request, "approve")
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("rejected", "rejected")
    assert result["transfer_id"] is None
    event = await probe.event(request, "AuthorizationRejected")
    assert (event["user_id"], event["payload"]["reason"]) == ("user:u-18", "too dear")
    assert "AuthorizationApproved" not in await probe.told(request)
    assert await probe.spent(agent) == (0, 0)
    assert await probe.booked(request) is None
    assert (await probe.saga(request))["state"] == "compensated"


async def test_an_expiry_gives_the_spend_back(driver: Driver, probe: Probe, agent: str) -> None:
    request = payment(agent, 55_000, approve_within="PT1S")
    result = await driver.run(request)
    assert (result["state"], result["reason"]) == ("expired", "approval_expired")
    assert await probe.spent(agent) == (0, 0)
    requested = (await probe.event(request, "AuthorizationRequested"))["timestamp"]
    expired = await probe.event(request, "AuthorizationExpired")
    assert (expired["timestamp"] - requested).total_seconds() >= 1
    assert expired["user_id"] == "system:amends"


async def test_of_two_approvals_at_once_one_counts_and_a_later_decision_changes_nothing(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual")
    await driver.submit(request)
    users = (USER, OTHER_USER)
    answers = await asyncio.gather(
        *(driver.tell(request, "approve", by) for by in users), return_exceptions=True
    )
    (counted,) = [by for by, it in zip(users, answers, strict=True) if isinstance(it, dict)]
    assert sum(isinstance(answer, WorkflowUpdateFailedError) for answer in answers) == 1
    for verb in ("approve", "reject"):
        refusal = await driver.refusal(request, verb, OTHER_USER)
        assert refusal.type == "not_allowed"
        assert "approved and waits for capture" in refusal.message
    await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert (await driver.result(request))["state"] == "captured"
    assert await probe.told_by(request, "AuthorizationApproved") == counted["actor"]


NOTHING_TO_MEND = "it does not wait for an operator (no step does)"


async def test_while_a_payment_waits_for_approval_only_a_user_decides_and_nothing_can_be_mended(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    step: Json = {**USER, "step": "execute transfer"}
    for update, by, why, message in [
        ("approve", {"actor": f"agent:{agent}"}, "not_allowed", ""),
        ("approve", {"actor": "system:amends"}, "InvalidInput", ""),
        ("capture", USER, "not_allowed", ""),
        ("retry", step, "not_allowed", NOTHING_TO_MEND),
        ("skip", {**step, "reason": "r"}, "not_allowed", NOTHING_TO_MEND),
        ("resolve", {**step, "evidence": "e"}, "not_allowed", NOTHING_TO_MEND),
    ]:
        refusal = await driver.refusal(request, update, by)
        assert (refusal.type, message in refusal.message) == (why, True)
    unknown = await driver.refusal(request, "aprove")
    assert (unknown.type, unknown.details[0]["field"]) == ("InvalidInput", "update")
    assert (await driver.progress(request))["waits_for"] == "approval"
    assert await probe.booked(request) is None
    await driver.tell(request, "approve")
    assert (await driver.result(request))["state"] == "captured"


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


async def test_an_update_with_bad_input_is_refused_and_the_saga_goes_on(
    driver: Driver, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual")

    async def refuses_bad_input(*updates: str) -> None:
        before = await driver.progress(request)
        for update, (by, field) in product(updates, BAD):
            refusal = await driver.refusal(request, update, by)
            assert refusal.type == "InvalidInput"
            assert [problem["field"] for problem in refusal.details] == [field]
            assert "canary" not in refusal.message + str(refusal.details)
        assert await driver.progress(request) == before

    await driver.submit(request)
    await refuses_bad_input("approve", "reject", "cancel")
    await driver.tell(request, "approve")
    await refuses_bad_input("capture")
    await driver.tell(request, "cancel")
    assert (await driver.result(request))["state"] == "voided"


async def test_a_manual_capture_waits_for_its_agent_and_however_often_it_comes_is_one_transfer(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await inject(request, "slow", delay_ms=200)
    approved = await driver.submit(request)
    assert (approved["decision"], approved["waits_for"]) == ("approved", "capture")
    refusal = await driver.refusal(request, "capture", {"actor": "agent:somebody-else"})
    assert refusal.type == "not_allowed"
    assert await probe.booked(request) is None
    by = {"actor": f"agent:{agent}"}
    answers = await asyncio.gather(*(driver.tell(request, "capture", by) for _ in range(8)))
    sdk = Amends(driver.client, {"AMENDS_PAYMENTS_QUEUE": QUEUE})
    later = await sdk.capture(saga_of(request), actor=by["actor"])
    assert later.result is not None
    assert later.result["state"] == "captured"
    transfers = {answer["result"]["transfer_id"] for answer in answers}
    assert transfers == {later.result["transfer_id"]}
    assert await probe.told_by(request, "TransferStarted") == by["actor"]
    assert await probe.deliveries(request) == 1


@pytest.mark.parametrize("run", ["the same", "another"])
async def test_a_capture_after_the_agent_was_revoked_is_refused_also_in_another_run(
    driver: Driver, probe: Probe, agent: str, run: str
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await driver.submit(request)
    if run == "another":
        await end(driver.handle(request))
    await driver.run(registration(agent, "revoke"))
    if run == "another":
        await driver.until_waits(request, "capture")
    answer = await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert answer["state"] in ("compensating", "compensated")
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("compensated", "agent_revoked")
    assert await probe.spent(agent) == (0, 0)
    assert await probe.booked(request) is None


@pytest.mark.parametrize("by", [OTHER_USER, None], ids=["update", "temporal"])
@pytest.mark.parametrize(("pesos", "waits_for"), [(55_000, "approval"), (45_000, "capture")])
async def test_a_payment_that_is_cancelled_while_it_waits_is_voided_and_by_temporal_however_often(
    driver: Driver, probe: Probe, agent: str, pesos: int, waits_for: str, by: Json | None
) -> None:
    request = payment(agent, pesos, capture="manual")
    assert (await driver.submit(request))["waits_for"] == waits_for
    if by:
        answer = await driver.tell(request, "cancel", by)
        assert answer["state"] in ("compensating", "compensated")
    else:
        for _ in range(3):
            await driver.handle(request).cancel()
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("voided", "cancelled")
    event = await probe.event(request, "AuthorizationVoided")
    assert event["user_id"] == (by or {"actor": "system:temporal"})["actor"]
    assert by is None or event["payload"]["reason"] == by["reason"]
    assert await probe.spent(agent) == (0, 0)


async def test_a_cancel_meets_a_decision_that_can_not_be_put_on_record(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    async with probe.refusing(request, "AuthorizationApproved"):
        approval = asyncio.create_task(driver.refusal(request, "approve"))
        # The step that fails leaves the workflow task after a while and waits on a timer.
        await until_history(driver.handle(request), "TIMER_STARTED", 2)
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
    assert (await driver.failure(handle)).type == "cancelled"
    assert await probe.told(request) == ["SagaStarted", "SagaCompensating", "SagaFailed"]


async def test_past_the_pivot_a_step_that_fails_is_shown_and_tried_again_and_a_cancel_is_refused(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with probe.refusing(request, "AuthorizationCaptured", sqlstate="22023"):
        handle = await driver.until_waits(request, "settle")
        step = await driver.step(request, "settle")
        assert (step["state"], step["tries"]) == ("running", 3)
        assert step["detail"].startswith("PostgreSQL: InvalidParameterValue (22023); tried again")
        refusal = await driver.refusal(request, "cancel")
        assert (refusal.type, "past its pivot" in refusal.message) == ("not_allowed", True)
        await handle.cancel()
        assert await probe.is_booked_as(request, "executed")
    assert (await handle.result())["state"] == "captured"
    assert "SagaCompensating" not in await probe.told(request)
