"""The use cases of the requirements, with their exact amounts, and what a policy decides."""

import asyncio
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import RPCError, WorkflowUpdateFailedError

from ledger.aggregates.policy import PolicySet, policy_name
from ledger.database import Database
from ledger.store.commit import Author, Decision, Ref, commit
from tests.sagas.conftest import NewAgent
from tests.support.driver import Driver, new_id, payment, policy, registration
from tests.support.probe import Probe


async def test_45_000_is_approved_automatically_and_captured(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    result = await driver.run(request)
    booked = await probe.until_booked(request)
    assert result == {
        "state": "captured",
        "authorization_id": result["authorization_id"],
        "transfer_id": result["transfer_id"],
        "provider_reference": booked["reference"],
        "captured_minor": 4_500_000,
        "reason": None,
        "residuals": [],
        "unsigned": True,
    }
    assert (booked["status"], booked["amount_minor"]) == ("executed", 4_500_000)
    assert booked["deliveries"] == 1
    assert await probe.spent(agent) == (45_000, 1)
    told = ["Requested", "Approved", "CaptureStarted", "Captured"]
    assert await probe.told(request, "authorization/%") == [f"Authorization{it}" for it in told]
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


async def test_70_000_is_denied_and_not_captured_and_that_is_in_the_log(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 70_000)
    denied = await driver.submit(request)
    assert (denied["decision"], denied["reason"]) == ("denied", "exceeded_max_transaction_limit")
    with pytest.raises((RPCError, WorkflowUpdateFailedError)):
        await driver.tell(request, "capture")
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("denied", "exceeded_max_transaction_limit")
    assert (result["transfer_id"], result["provider_reference"]) == (None, None)
    event = await probe.event(request, "AuthorizationDenied")
    reason = "exceeded_max_transaction_limit"
    assert event["payload"] == {"reason": reason, "reasons": [reason]}
    assert event["user_id"] == f"agent:{agent}"
    assert await probe.spent(agent) == (0, 0)
    assert await probe.booked(request) is None
    assert (await probe.saga(request))["state"] == "completed"


async def test_equal_to_a_limit_is_within_it_and_one_minor_unit_above_decides_otherwise(
    driver: Driver, agent: str
) -> None:
    for minor, decision in [
        (5_000_000, "approved"),  # equal to the threshold
        (5_000_001, "pending_approval"),
        (6_000_000, "pending_approval"),  # equal to the limit
    ]:
        amount = {"minor": minor, "currency": "ARS"}
        request = payment(agent, 0, amount=amount, capture="manual")
        assert (await driver.submit(request))["decision"] == decision
        await driver.tell(request, "cancel")
        assert (await driver.result(request))["state"] == "voided"
    above = await driver.run(payment(agent, 0, amount={"minor": 6_000_001, "currency": "ARS"}))
    assert above["reason"] == "exceeded_max_transaction_limit"


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


async def test_the_first_ten_requests_of_a_day_at_once_never_exceed_the_daily_limit(
    driver: Driver, probe: Probe, agent: str
) -> None:
    requests = [payment(agent, 30_000) for _ in range(10)]
    results = await asyncio.gather(*(driver.run(request) for request in requests))
    ends = sorted((result["state"], result["reason"]) for result in results)
    assert ends == [("captured", None)] * 3 + [("denied", "exceeded_daily_limit")] * 7
    assert await probe.spent(agent) == (90_000, 3)


async def test_of_several_reasons_to_deny_the_first_in_the_contracts_order_is_given(
    driver: Driver, probe: Probe, agent: str
) -> None:
    async def reason(agent: str, pesos: int, **more: Any) -> Any:
        request = payment(agent, pesos, **more)
        result = await driver.run(request)
        assert result["state"] == "denied"
        assert "AuthorizationDenied" in await probe.told(request)
        return result["reason"]

    wrong = {"minor": 9_000_000_000, "currency": "USD"}
    newcomer = new_id("bot")
    assert await reason(newcomer, 10) == "unknown_agent"
    await driver.run(registration(newcomer))
    assert await reason(newcomer, 10) == "no_policy"
    dollar = {"minor": 100, "currency": "USD"}
    assert await reason(agent, 0, amount=dollar) == "currency_not_allowed"
    assert await reason(agent, 0, amount=wrong) == "currency_not_allowed"
    assert await reason(agent, 200_000) == "exceeded_max_transaction_limit"
    revoked = await driver.run(registration(agent, "revoke"))
    assert revoked == {"state": "revoked", "agent_id": agent, "unsigned": True}
    assert await reason(agent, 0, amount=wrong) == "agent_revoked"
    assert await reason(agent, 10) == "agent_revoked"
    # Registered again, it may ask again.
    assert (await driver.run(registration(agent)))["state"] == "registered"
    assert (await driver.run(payment(agent, 10)))["state"] == "captured"


async def test_a_changed_policy_is_in_force_at_once_and_each_decision_stores_what_it_stands_on(
    driver: Driver, probe: Probe, agent: str
) -> None:
    before, after = payment(agent, 45_000), payment(agent, 45_000)
    assert (await driver.run(before))["state"] == "captured"
    changed = await driver.run(policy(agent, max_per_transaction_minor=4_000_000))
    assert changed.items() >= {"state": "set", "agent_id": agent, "policy_version": 2}.items()
    assert (await driver.run(after))["reason"] == "exceeded_max_transaction_limit"
    for request, version, limit, spent in [
        (before, 1, 6_000_000, 0),
        (after, 2, 4_000_000, 4_500_000),
    ]:
        asked = (await probe.event(request, "AuthorizationRequested"))["payload"]
        assert asked["policy_version"] == version
        assert asked["inputs"]["policy"]["max_per_transaction_minor"] == limit
        assert asked["inputs"]["policy"]["daily_limit_minor"] == 10_000_000
        assert asked["inputs"]["agent"]["state"] == "active"
        assert {each["amount_minor"] for each in asked["inputs"]["spent"].values()} == {spent}


@pytest.mark.parametrize("capture", ["automatic", "manual"])
async def test_the_context_of_the_caller_of_any_json_is_in_every_event_as_it_is(
    driver: Driver, probe: Probe, agent: str, capture: str
) -> None:
    context = {
        "big": 10**40,
        "low": -(2**60),
        "list": [None, True, {"é": "🦙", "ü": []}],
        "": "\u202e\u2028",
        "deep": {"1": {"10": {"9": {}}}},
    }
    more = {"capture": capture, "metadata": context, "description": "ñandú 🦙"}
    request = payment(agent, 45_000, **more)
    await driver.submit(request)
    if capture == "manual":
        await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert (await driver.result(request))["state"] == "captured"
    handle = driver.handle(request)
    run = {"workflow_id": handle.id, "run_id": (await handle.describe()).run_id}
    for event in await probe.events(request):
        assert event["metadata"]["context"] == context
        assert event["metadata"].items() >= run.items()
    assert "AuthorizationCaptured" in await probe.told(request)


async def test_a_day_is_a_day_in_the_time_zone_of_the_policy(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # 25 hours apart
        agent = await new_agent(time_zone=zone)
        request = payment(agent, 45_000)
        await driver.run(request)
        spend = (await probe.event(request, "AuthorizationApproved"))["payload"]["spend"]
        begun = {each["window"]["period"]: each["window"]["starts_on"] for each in spend}
        asked = (await probe.event(request, "AuthorizationRequested"))["timestamp"]
        today = asked.astimezone(ZoneInfo(zone)).date()
        assert begun == {
            "daily": str(today),
            "weekly": str(today - timedelta(days=today.weekday())),
            "monthly": str(today.replace(day=1)),
            "total": "1970-01-01",
        }


async def test_a_stored_time_zone_that_does_not_exist_denies_a_payment_until_the_policy_is_set_anew(
    driver: Driver, new_agent: NewAgent, ledger: Database
) -> None:
    agent = await new_agent()
    name, limits = policy_name(agent), policy(agent)
    asked = {key: limits[key] for key in PolicySet.__struct_fields__ if key in limits}

    async def store(zone: str) -> None:
        decision = Decision(None, [(name, PolicySet(**asked, time_zone=zone))])
        await commit(ledger, Author("user:u-17"), [Ref(name)], lambda _: decision)

    # One that is gone, and the name of a folder of zones.
    for zone in ("Mars/Canary", "America"):
        await store(zone)
        result = await driver.run(payment(agent, 45_000))
        assert (result["state"], result["reason"]) == ("denied", "unknown_time_zone")
    await driver.run(policy(agent))
    assert (await driver.run(payment(agent, 45_000)))["state"] == "captured"
