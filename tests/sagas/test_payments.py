"""The use cases of the requirements, with their exact amounts, and what a policy decides."""

import asyncio
from zoneinfo import ZoneInfo

import pytest

from tests.sagas.conftest import NewAgent
from tests.support.driver import Driver, Json, new_id, payment, policy, registration
from tests.support.probe import Probe


async def test_45_000_is_approved_automatically_and_captured(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    result = await driver.run(request)
    booked = await probe.booked(request)
    assert booked is not None
    assert result == {
        "state": "captured",
        "authorization_id": result["authorization_id"],
        "transfer_id": result["transfer_id"],
        "provider_reference": booked["reference"],
        "reason": None,
        "residuals": [],
    }
    assert (booked["status"], booked["amount_minor"]) == ("executed", 4_500_000)
    assert booked["deliveries"] == 1
    assert await probe.spent(agent) == (45_000, 1)
    assert await probe.told(request, "authorization/%") == [
        "AuthorizationRequested",
        "AuthorizationApproved",
        "AuthorizationCaptureStarted",
        "AuthorizationCaptured",
    ]
    assert await probe.told(request, "transfer/%") == ["TransferStarted", "TransferExecuted"]
    assert await probe.told(request, "saga/%") == ["SagaStarted", "SagaCompleted"]


async def test_55_000_waits_for_the_user_and_is_executed_once_approved(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    waiting = await driver.submit(request)
    assert (waiting["decision"], waiting["waits_for"]) == ("pending_approval", "approval")
    assert await probe.spent(agent) == (55_000, 1)
    assert await probe.booked(request) is None
    approved = await driver.tell(request, "approve", {"actor": "user:u-17", "reason": "it is due"})
    assert approved["decision"] in ("approved", "captured")
    assert (await driver.result(request))["state"] == "captured"
    event = await probe.event(request, "AuthorizationApproved")
    assert (event["user_id"], event["payload"]["reason"]) == ("user:u-17", "it is due")
    assert event["payload"]["automatic"] is False


async def test_70_000_is_denied_and_that_is_in_the_log(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 70_000)
    denied = await driver.submit(request)
    assert (denied["decision"], denied["reason"]) == ("denied", "exceeded_max_transaction_limit")
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("denied", "exceeded_max_transaction_limit")
    assert (result["transfer_id"], result["provider_reference"]) == (None, None)
    event = await probe.event(request, "AuthorizationDenied")
    assert event["payload"] == {"reason": "exceeded_max_transaction_limit"}
    assert event["user_id"] == f"agent:{agent}"
    assert await probe.spent(agent) == (0, 0)
    assert await probe.booked(request) is None
    saga = await probe.saga(request)
    assert saga is not None
    assert saga["state"] == "completed"


@pytest.mark.parametrize(
    ("pesos", "decision"),
    [
        (50_000, "approved"),  # equal to the threshold
        (60_000, "pending_approval"),  # equal to the limit
    ],
)
async def test_equal_to_a_limit_is_within_it(
    driver: Driver, agent: str, pesos: int, decision: str
) -> None:
    request = payment(agent, pesos, capture="manual")
    assert (await driver.submit(request))["decision"] == decision
    await driver.tell(request, "cancel")
    assert (await driver.result(request))["state"] == "voided"


async def test_one_minor_unit_above_decides_otherwise(driver: Driver, agent: str) -> None:
    above_threshold = payment(agent, 1, amount={"minor": 5_000_001, "currency": "ARS"})
    above_limit = payment(agent, 1, amount={"minor": 6_000_001, "currency": "ARS"})
    assert (await driver.submit(above_threshold))["decision"] == "pending_approval"
    assert (await driver.submit(above_limit))["reason"] == "exceeded_max_transaction_limit"
    await driver.tell(above_threshold, "reject")
    assert (await driver.result(above_threshold))["state"] == "rejected"


async def test_the_daily_limit_is_cumulative_and_may_be_used_up(
    driver: Driver, probe: Probe, agent: str
) -> None:
    for _ in range(2):
        assert (await driver.run(payment(agent, 40_000)))["state"] == "captured"
    denied = await driver.run(payment(agent, 30_000))
    assert (denied["state"], denied["reason"]) == ("denied", "exceeded_daily_limit")
    assert (await driver.run(payment(agent, 20_000)))["state"] == "captured"
    assert await probe.spent(agent) == (100_000, 3)
    last = await driver.run(payment(agent, 1, amount={"minor": 1, "currency": "ARS"}))
    assert last["reason"] == "exceeded_daily_limit"


async def test_ten_requests_at_once_never_exceed_the_daily_limit(
    driver: Driver, probe: Probe, agent: str
) -> None:
    requests = [payment(agent, 30_000) for _ in range(10)]
    results = await asyncio.gather(*(driver.run(request) for request in requests))
    ends = sorted((result["state"], result["reason"]) for result in results)
    assert ends == [("captured", None)] * 3 + [("denied", "exceeded_daily_limit")] * 7
    assert await probe.spent(agent) == (90_000, 3)


async def test_the_first_payments_of_a_day_race_for_one_new_window(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    agent = await new_agent(daily_limit_minor=5_000_000)
    results = await asyncio.gather(*(driver.run(payment(agent, 50_000)) for _ in range(2)))
    assert sorted(result["state"] for result in results) == ["captured", "denied"]
    assert await probe.spent(agent) == (50_000, 1)


async def test_an_agent_that_nobody_registered_is_denied(driver: Driver, probe: Probe) -> None:
    request = payment(new_id("nobody"), 10)
    result = await driver.run(request)
    assert (result["state"], result["reason"]) == ("denied", "unknown_agent")
    assert "AuthorizationDenied" in await probe.told(request)


async def test_an_agent_without_a_policy_is_denied(driver: Driver) -> None:
    agent = new_id("bot")
    await driver.run(registration(agent))
    result = await driver.run(payment(agent, 10))
    assert (result["state"], result["reason"]) == ("denied", "no_policy")


async def test_another_currency_than_the_policys_is_denied(driver: Driver, agent: str) -> None:
    result = await driver.run(payment(agent, 10, amount={"minor": 100, "currency": "USD"}))
    assert (result["state"], result["reason"]) == ("denied", "currency_not_allowed")


async def test_of_several_reasons_the_first_in_the_contracts_order_is_given(
    driver: Driver, agent: str
) -> None:
    wrong: Json = {"amount": {"minor": 9_000_000_000, "currency": "USD"}}
    assert (await driver.run(payment(agent, 1, **wrong)))["reason"] == "currency_not_allowed"
    over_both = payment(agent, 200_000)
    assert (await driver.run(over_both))["reason"] == "exceeded_max_transaction_limit"
    await driver.run(registration(agent, "revoke"))
    assert (await driver.run(payment(agent, 1, **wrong)))["reason"] == "agent_revoked"


async def test_a_changed_policy_is_in_force_for_the_next_request_at_once(
    driver: Driver, probe: Probe, agent: str
) -> None:
    before = payment(agent, 45_000)
    assert (await driver.run(before))["state"] == "captured"
    changed = await driver.run(policy(agent, max_per_transaction_minor=4_000_000))
    assert changed == {"state": "set", "agent_id": agent, "policy_version": 2}
    after = payment(agent, 45_000)
    assert (await driver.run(after))["reason"] == "exceeded_max_transaction_limit"
    versions = [
        (await probe.event(request, "AuthorizationRequested"))["payload"]["policy_version"]
        for request in (before, after)
    ]
    assert versions == [1, 2]


async def test_each_decision_stores_what_it_stands_on(
    driver: Driver, probe: Probe, agent: str
) -> None:
    await driver.run(payment(agent, 10_000))
    request = payment(agent, 20_000)
    await driver.run(request)
    inputs = (await probe.event(request, "AuthorizationRequested"))["payload"]["inputs"]
    assert inputs["policy"]["daily_limit_minor"] == 10_000_000
    assert inputs["agent"]["state"] == "active"
    assert inputs["spent"]["amount_minor"] == 1_000_000


async def test_a_revoked_agent_is_denied_and_registered_again_it_may_ask_again(
    driver: Driver, agent: str
) -> None:
    revoked = await driver.run(registration(agent, "revoke"))
    assert revoked == {"state": "revoked", "agent_id": agent}
    assert (await driver.run(payment(agent, 10)))["reason"] == "agent_revoked"
    assert (await driver.run(registration(agent)))["state"] == "registered"
    assert (await driver.run(payment(agent, 10)))["state"] == "captured"


async def test_revoking_an_agent_that_nobody_registered_fails(driver: Driver, probe: Probe) -> None:
    request = registration(new_id("nobody"), "revoke")
    failure = await driver.failure(await driver.start(request))
    assert failure.type == "unknown_agent"
    assert await probe.told(request) == ["SagaStarted", "SagaCompensating", "SagaFailed"]


@pytest.mark.parametrize("capture", ["automatic", "manual"])
async def test_the_context_of_the_caller_is_in_every_event(
    driver: Driver, probe: Probe, agent: str, capture: str
) -> None:
    context = {"ip": "203.0.113.7", "session": "s-1"}
    request = payment(agent, 45_000, capture=capture, metadata=context)
    await driver.submit(request)
    if capture == "manual":
        await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    await driver.result(request)
    handle = driver.handle(request)
    run_id = (await handle.describe()).run_id
    for event in await probe.events(request):
        assert event["metadata"]["context"] == context
        assert (event["metadata"]["workflow_id"], event["metadata"]["run_id"]) == (
            handle.id,
            run_id,
        )


async def test_metadata_of_any_json_is_kept_as_it_is(
    driver: Driver, probe: Probe, agent: str
) -> None:
    context = {
        "big": 10**40,
        "low": -(2**60),
        "list": [None, True, {"é": "🦙", "ü": []}],
        "": "\u202e\u2028",
        "deep": {"1": {"10": {"9": {}}}},
    }
    request = payment(agent, 45_000, metadata=context, description="ñandú 🦙")
    assert (await driver.run(request))["state"] == "captured"
    assert (await probe.event(request, "AuthorizationCaptured"))["metadata"]["context"] == context


async def test_a_day_is_a_day_in_the_time_zone_of_the_policy(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # 25 hours apart
        agent = await new_agent(time_zone=zone)
        request = payment(agent, 45_000)
        await driver.run(request)
        (change,) = (await probe.event(request, "AuthorizationApproved"))["payload"]["spend"]
        asked = (await probe.event(request, "AuthorizationRequested"))["timestamp"]
        assert change["window"]["starts_on"] == f"{asked.astimezone(ZoneInfo(zone)):%Y-%m-%d}"
