"""What a policy says: windows of every kind, destinations, hours, currencies, approvers; and that
one that was tightened binds what still waits."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import ActivityEnvironment

from activities.authorization_decisions import Approve
from activities.authorizations import AuthorizationActivities, authorization_of
from activities.step import Claim
from ledger.aggregates.policy import PolicyState, Terms
from ledger.database import Database
from ledger.read.policy_simulation import simulate
from tests.sagas.conftest import Inject, NewAgent
from tests.support.driver import CBU, Driver, payment, policy, refused, saga_of
from tests.support.mandates import granted
from tests.support.probe import Probe
from workflows.contract.policy import PolicyRequest

ANA, EVA = ({"actor": f"user:{name}", "reason": "it is due"} for name in ("ana", "eva"))
PESOS_10 = 1_000


async def test_a_denial_names_all_reasons_in_their_order(
    driver: Driver, probe: Probe, agent: str
) -> None:
    await driver.run(policy(agent, refused_destinations=[CBU], daily_count=0, total_count=0))
    denied = payment(agent, 10)
    await driver.run(denied)
    told = (await probe.event(denied, "AuthorizationDenied"))["payload"]["reasons"]
    assert told == ["destination_not_allowed", "exceeded_daily_count", "exceeded_total_count"]


async def test_a_limit_set_in_mid_window_counts_what_was_spent_before_and_a_currency_has_its_own(
    driver: Driver, agent: str
) -> None:
    dollars = {
        "max_per_transaction_minor": 500,
        "daily_limit_minor": 500,
        "approval_threshold_minor": 500,
    }
    await driver.run(payment(agent, 100))
    await driver.run(policy(agent, weekly_limit_minor=15_000, further={"USD": dollars}))
    assert (await driver.run(payment(agent, 51)))["reason"] == "exceeded_weekly_limit"
    in_dollars = {"amount": {"minor": 500, "currency": "USD"}}
    assert (await driver.run(payment(agent, 0, **in_dollars)))["state"] == "captured"
    assert (await driver.run(payment(agent, 0, **in_dollars)))["reason"] == "exceeded_daily_limit"
    assert (await driver.run(payment(agent, 50)))["state"] == "captured"


async def test_200_at_once_against_limits_that_fit_37_are_37_with_faults_of_the_bank(
    driver: Driver, probe: Probe, new_agent: NewAgent, inject: Inject
) -> None:
    agent = await new_agent(
        daily_count=40,
        weekly_limit_minor=38 * PESOS_10 - 1,
        monthly_count=39,
        total_limit_minor=50 * PESOS_10,
    )
    root = await granted(driver, agent, count=41)
    mandate = await granted(driver, agent, root, amount_minor=37 * PESOS_10)
    requests = [payment(agent, 10, mandate=mandate) for _ in range(200)]
    for number, request in enumerate(requests[::10]):
        await inject(request, "timeout_after" if number % 2 else "answer_twice")
    results = await asyncio.gather(*(driver.run(request) for request in requests))
    ends = [(result["state"], result["reason"]) for result in results]
    assert ends.count(("captured", None)) == 37
    assert ends.count(("denied", "exceeded_weekly_limit")) == 163
    windows = await probe.ledger(
        "SELECT amount_minor, count FROM ledger.spend_windows WHERE agent_id = ANY(%s)",
        [agent, f"mandate/{root}", f"mandate/{mandate}"],
    )
    assert windows == [{"amount_minor": 37 * PESOS_10, "count": 37}] * 6


async def test_a_policy_that_was_tightened_binds_an_approval_and_a_refused_one_is_on_record(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.until_waits(request, "approval")
    await driver.run(policy(agent, max_per_transaction_minor=5_000_000))
    for _ in range(2):
        error = await refused(driver.tell(request, "approve", ANA))
        assert error.message == (
            "can't approve: policy version 2 says exceeded_max_transaction_limit; it was asked for "
            "under version 1"
        )
    assert (await probe.told(request)).count("ApprovalRefused") == 2
    assert (await driver.progress(request))["waits_for"] == "approval"
    await driver.run(policy(agent))
    await driver.tell(request, "approve", ANA)
    assert (await driver.result(request))["state"] == "captured"
    approved = (await probe.event(request, "AuthorizationApproved"))["payload"]
    assert (approved["policy_version"], approved["automatic"]) == (3, False)


async def test_a_policy_that_was_tightened_binds_a_capture_and_releases_what_was_reserved(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await driver.until_waits(request, "capture")
    await driver.run(policy(agent, refused_destinations=[CBU]))
    await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("compensated", "destination_not_allowed")
    assert await probe.booked(request) is None
    assert await probe.spent(agent) == (0, 0)


async def test_a_capture_is_refused_where_the_policy_of_now_asks_for_people(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await driver.until_waits(request, "capture")
    await driver.run(policy(agent, approval_threshold_minor=0))
    await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert (await driver.result(request))["reason"] == "needs_approval"
    told = (await probe.event(request, "SagaCompensating"))["payload"]["reason"]
    assert told == (
        "can't capture: policy version 2 says needs_approval; it was asked for under version 1"
    )


@pytest.mark.parametrize("reason", ["it is due", "another"])
@pytest.mark.parametrize(("who", "approvals"), [("mia", 1), ("eva", 2), ("eva", 1)])
async def test_an_approval_whose_task_was_lost_takes_nothing_from_the_next_person(
    driver: Driver,
    probe: Probe,
    new_agent: NewAgent,
    ledger: Database,
    who: str,
    approvals: int,
    reason: str,
) -> None:
    approvers = [{"user": "user:ana"}, {"user": "user:eva"}]
    agent = await new_agent(approvers=approvers, approvals=approvals)
    request = payment(agent, 55_000)
    await driver.until_waits(request, "approval")
    # What the lost workflow task had committed.
    saga = saga_of(request)
    approve = AuthorizationActivities(ledger).approve_authorization
    claim = Claim(
        saga_id=saga, step="approve", ordinal=2, epoch=1, actor=f"user:{who}", ends_wait=True
    )
    first = Approve(authorization_id=authorization_of(saga), reason=reason)
    await ActivityEnvironment().run(approve, claim, first)
    with suppress(WorkflowUpdateFailedError):
        await driver.tell(request, "approve", ANA)
    assert (await driver.result(request))["state"] == "captured"
    assert await probe.told_by(request, "AuthorizationApproved") == (
        "user:eva" if (who, approvals) == ("eva", 1) else "user:ana"
    )


async def test_only_an_approver_within_their_limit_approves_and_four_eyes_are_two_people(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    approvers = [
        {"user": "user:ana"},
        {"user": "user:eva", "currency": "ARS", "limit_minor": 5_500_000},
        {"user": "user:leo", "currency": "ARS", "limit_minor": 5_499_999},
    ]
    agent = await new_agent(approvers=approvers, approvals=2)
    request = payment(agent, 55_000)
    await driver.until_waits(request, "approval")
    for person, reason in (("leo", "exceeded_approver_limit"), ("mia", "not_an_approver")):
        await refused(driver.tell(request, "approve", {"actor": f"user:{person}"}))
        told = [
            e["payload"]
            for e in await probe.events(request)
            if e["event_type"] == "ApprovalRefused"
        ]
        assert told[-1] == {"by": f"user:{person}", "reason": reason, "policy_version": 1}
    first = await driver.tell(request, "approve", ANA)
    assert (first["decision"], first["waits_for"]) == ("pending_approval", "approval")
    again = await driver.tell(request, "approve", ANA)
    assert (again["decision"], again["waits"]) == ("pending_approval", first["waits"])
    await driver.tell(request, "approve", EVA)
    assert (await driver.result(request))["state"] == "captured"
    steps = [
        row["name"]
        for row in await probe.ledger(
            "SELECT name FROM ledger.saga_steps WHERE saga_id = %s AND name LIKE 'approve%%' "
            "ORDER BY ordinal",
            f"payment/{request['operation_id']}",
        )
    ]
    assert steps == ["approve", "approve 2", "approve 3", "approve 4", "approve 5"]


async def test_an_approval_of_anything_else_is_refused(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.until_waits(request, "approval")
    error = await refused(driver.tell(request, "approve", {**ANA, "binding": "0" * 64}))
    assert "is not what is asked for" in error.message
    seen: Any = (await probe.authorization(request))["binding"]
    await driver.tell(request, "approve", {**ANA, "binding": seen})
    assert (await driver.result(request))["state"] == "captured"


@pytest.mark.parametrize("whose", ["request", "policy"])
async def test_an_authorization_that_nobody_captures_expires_and_releases_its_spend(
    driver: Driver, probe: Probe, new_agent: NewAgent, whose: str
) -> None:
    within = {"capture_within": "PT0.4S"} if whose == "request" else {}
    limits = {} if whose == "request" else {"capture_within": "PT1S"}
    agent = await new_agent(**limits)
    request = payment(agent, 45_000, capture="manual", **within)
    result = await driver.run(request)
    assert (result["state"], result["reason"]) == ("expired", "capture_expired")
    assert await probe.spent(agent) == (0, 0)
    assert await probe.booked(request) is None


async def test_a_simulation_keeps_what_a_person_rejected_and_the_policy_would_have_paid(
    driver: Driver, ledger: Database, agent: str
) -> None:
    since = datetime.now(UTC)
    rejected, after = payment(agent, 55_000), payment(agent, 50_000)
    await driver.until_waits(rejected, "approval")
    await driver.tell(rejected, "reject", ANA)
    await driver.result(rejected)
    await driver.run(after)
    request = PolicyRequest.model_validate(policy(agent, approval_threshold_minor=6_000_000))
    amounts = request.model_dump(include=set(PolicyState.__struct_fields__))
    asked = PolicyState(terms=Terms.read(request.terms()), **amounts)
    found = await simulate(ledger, asked, since, datetime.now(UTC))
    assert [(each.saga_id, each.would, each.would_reasons) for each in found.differing] == [
        (saga_of(rejected), "approved", []),
        (saga_of(after), "denied", ["exceeded_daily_limit"]),
    ]


async def test_a_simulation_names_what_another_policy_would_have_decided_and_why(
    driver: Driver, ledger: Database, new_agent: NewAgent
) -> None:
    agent = await new_agent(daily_count=3)
    await driver.run(payment(agent, 10))
    since = datetime.now(UTC)
    captured, above, denied, voided, last = (
        payment(agent, pesos, **more)
        for pesos, more in [
            (45_000, {}),
            (70_000, {}),
            (10, {}),
            (20, {"capture": "manual"}),
            (10, {}),
        ]
    )
    await driver.submit(voided)
    await driver.tell(voided, "cancel")
    for request in (captured, above, last, denied):
        await driver.run(request)

    async def differing(**terms: Any) -> list[tuple[str, str, list[str]]]:
        fields = policy(agent, **{"daily_count": 3, **terms})
        request = PolicyRequest.model_validate(fields)
        amounts = request.model_dump(include=set(PolicyState.__struct_fields__))
        asked = PolicyState(terms=Terms.read(request.terms()), **amounts)
        found = await simulate(ledger, asked, since, datetime.now(UTC))
        assert found == await simulate(ledger, asked, since, datetime.now(UTC))
        assert found.decisions == 5
        return [(each.saga_id, each.would, each.would_reasons) for each in found.differing]

    assert await differing() == []
    assert await differing(max_per_transaction_minor=7_000_000, daily_limit_minor=12_000_000) == [
        (saga_of(above), "pending_approval", []),
        (saga_of(last), "denied", ["exceeded_daily_count"]),
    ]
    assert await differing(refused_destinations=[CBU], daily_count=9) == [
        (saga_of(request), "denied", ["destination_not_allowed", *more])
        for request, more in [
            (voided, []),
            (captured, []),
            (above, ["exceeded_max_transaction_limit"]),
            (last, []),
            (denied, []),
        ]
    ]
