"""Mandates: what a payment under one is denied for, what may be delegated, and what a revocation
stops."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from ledger.aggregates.mandate_evaluation import MAX_DEPTH
from ledger.aggregates.policy import PolicyState, Terms
from ledger.audit.verify import verify
from ledger.database import Database
from ledger.read.policy_simulation import simulate
from ledger.read.queries import PaymentQuery, payments
from tests.sagas.conftest import NewAgent
from tests.support.driver import CBU, USER, Driver, Json, new_id, payment, policy, refused, saga_of
from tests.support.mandates import grant, granted, revoke
from tests.support.probe import Probe
from workflows.contract.policy import PolicyRequest

OTHER = "0170099220000067797370"
PESOS_10 = 1_000
# Each denies a payment of ten pesos under a mandate with these terms.
REASONS: dict[str, Json] = {
    "mandate_of_another_agent": {"agent_id": "another-bot"},
    "mandate_not_valid": {"valid_from": "2099-01-01T00:00:00Z"},
    "mandate_currency_not_allowed": {"currency": "USD"},
    "mandate_destination_not_allowed": {"destinations": [OTHER]},
    "mandate_purpose_not_allowed": {"purposes": ["flight"]},
    "exceeded_mandate_limit": {"amount_minor": PESOS_10 - 1},
    "exceeded_mandate_count": {"count": 0},
}


async def spent(probe: Probe, mandate: str) -> tuple[int, int]:
    """Reserved or spent under a mandate, in pesos, and by how many payments."""
    rows = await probe.ledger(
        "SELECT amount_minor, count FROM ledger.spend_windows WHERE agent_id = %s",
        f"mandate/{mandate}",
    )
    return (rows[0]["amount_minor"] // 100, rows[0]["count"]) if rows else (0, 0)


async def test_each_reason_to_deny_under_a_mandate_or_under_one_above_it(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    agent = await new_agent(mandate_required=True)

    async def told(reason: str, **asked: Any) -> None:
        request = payment(agent, 10, **asked)
        result = await driver.run(request)
        assert (result["state"], result["reason"]) == ("denied", reason)
        event = (await probe.event(request, "AuthorizationDenied"))["payload"]
        assert event == {"reason": reason, "reasons": [reason]}

    async def denied_under(reason: str, terms: Json) -> None:
        mandate = await granted(driver, **{"agent_id": agent, **terms, "agent": agent})
        await told(reason, mandate=mandate, purpose="hotel")

    async def denied_below(reason: str, terms: Json) -> None:
        above = await granted(driver, "another-bot", **terms)
        mandate = await granted(driver, agent, above)
        await told(reason, mandate=mandate, purpose="hotel")

    gone, above = await granted(driver, agent), await granted(driver, "another-bot")
    below = await granted(driver, agent, above)
    for mandate in (gone, above):
        await driver.run(revoke(mandate))
    await asyncio.gather(
        told("no_mandate"),
        told("unknown_mandate", mandate=new_id("nobody")),
        *(told("mandate_revoked", mandate=mandate) for mandate in (gone, below)),
        *(denied_under(reason, terms) for reason, terms in REASONS.items()),
        *(denied_below(r, terms) for r, terms in REASONS.items() if "agent_id" not in terms),
    )
    assert await probe.spent(agent) == (0, 0)


async def test_a_payment_is_reserved_in_the_whole_chain_and_found_by_each_mandate_of_it(
    driver: Driver, probe: Probe, ledger: Database, new_agent: NewAgent
) -> None:
    holder, agent = await new_agent(), await new_agent()
    root = await granted(driver, holder, amount_minor=10 * PESOS_10)
    by = {"actor": f"agent:{holder}"}
    leaf = await granted(driver, agent, root, amount_minor=6 * PESOS_10, destinations=[CBU], **by)
    own = payment(holder, 50, mandate=root)
    part = payment(agent, 40, mandate=leaf, purpose="hotel")
    for request in (own, part):
        assert (await driver.run(request))["state"] == "captured"
    # There are 20 left below, and 10 above.
    over = payment(agent, 20, mandate=leaf)
    assert (await driver.run(over))["reason"] == "exceeded_mandate_limit"
    assert [await spent(probe, each) for each in (root, leaf)] == [(90, 2), (40, 1)]
    for mandate, found in ((root, [over, part, own]), (leaf, [over, part])):
        listed = await payments(ledger, PaymentQuery(mandate=mandate), limit=9)
        assert [row["saga_id"] for row in listed.rows] == [saga_of(each) for each in found]
    recorded = await probe.authorization(part)
    assert (recorded["mandates"], recorded["purpose"]) == ([root, leaf], "hotel")
    assert (await verify(ledger)).clean


async def test_a_revoked_link_stops_what_waits_below_it_and_releases_what_was_reserved(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    holder, agent = await new_agent(), await new_agent()
    root = await granted(driver, holder)
    middle = await granted(driver, holder, root)
    leaf = await granted(driver, agent, middle)
    large = payment(agent, 55_000, mandate=leaf)
    small = payment(agent, 100, mandate=leaf, capture="manual")
    await driver.until_waits(large, "approval")
    await driver.until_waits(small, "capture")
    assert await spent(probe, root) == (55_100, 2)
    # By the agent that holds it, and again by a user: once is enough.
    for by in ({"actor": f"agent:{holder}"}, {}):
        assert (await driver.run(revoke(middle, **by)))["state"] == "revoked"
    error = await refused(driver.tell(large, "approve"))
    assert error.message == "can't approve: the mandate says mandate_revoked"
    assert (await probe.event(large, "ApprovalRefused"))["payload"]["reason"] == "mandate_revoked"
    await driver.tell(small, "capture", {"actor": f"agent:{agent}"})
    result = await driver.result(small)
    assert (result["state"], result["reason"]) == ("compensated", "mandate_revoked")
    await driver.tell(large, "reject")
    await driver.result(large)
    assert [await spent(probe, each) for each in (root, middle, leaf)] == [(0, 0)] * 3
    assert (await driver.run(payment(holder, 10, mandate=root)))["state"] == "captured"


async def test_captures_in_parts_stay_in_the_budgets_until_a_link_is_revoked(
    driver: Driver, probe: Probe, ledger: Database, agent: str
) -> None:
    root = await granted(driver, agent)
    leaf = await granted(driver, agent, root)
    request = payment(agent, 45_000, capture="manual", mandate=leaf)
    by = {"actor": f"agent:{agent}"}
    await driver.submit(request)
    await driver.tell(request, "capture", {**by, "amount_minor": 2_000_000})
    await driver.tell(request, "capture", {**by, "amount_minor": 500_000})
    assert [await spent(probe, each) for each in (root, leaf)] == [(45_000, 1)] * 2
    await driver.run(revoke(root))
    refusal = await driver.refusal(request, "capture", {**by, "amount_minor": 1})
    assert "the mandate says mandate_revoked" in refusal.message
    await driver.tell(request, "void", by)
    assert (await driver.result(request))["captured_minor"] == 2_500_000
    assert [await spent(probe, each) for each in (root, leaf)] == [(25_000, 1)] * 2
    assert (await verify(ledger)).clean


async def test_what_is_delegated_is_a_part_by_whoever_holds_it_and_not_too_deep(
    driver: Driver, new_agent: NewAgent
) -> None:
    holder, other = await new_agent(), await new_agent()
    terms: Json = {"amount_minor": 100, "count": 2, "destinations": [CBU], "purposes": ["hotel"]}
    root = await granted(driver, holder, **terms, valid_until="2098-01-01T00:00:00Z")
    below = await granted(driver, other, root)
    gone = await granted(driver, holder, root)
    await driver.run(revoke(gone))
    by, not_by = {"actor": f"agent:{holder}"}, {"actor": f"agent:{other}"}
    asked: list[tuple[str, Json]] = [
        ("wider_mandate", grant(other, root, amount_minor=101)),
        ("wider_mandate", grant(other, root, count=3)),
        ("wider_mandate", grant(other, root, currency="USD")),
        ("wider_mandate", grant(other, root, destinations=[CBU, OTHER])),
        ("wider_mandate", grant(other, root, purposes=["wine"])),
        ("wider_mandate", grant(other, root, valid_until="2099-01-01T00:00:00Z")),
        ("wider_mandate", grant(other, root, valid_from="2026-01-01T00:00:00Z", count=3)),
        ("mandate_not_valid", grant(other, valid_until="2026-01-01T00:00:00Z")),
        ("mandate_exists", grant(other, mandate=root)),
        ("mandate_revoked", grant(other, gone)),
        ("unknown_mandate", grant(other, "nobody")),
        ("unknown_mandate", revoke("nobody")),
        ("not_mandate_holder", grant(other, root, **not_by)),
        ("not_mandate_holder", grant(other, "nobody", **by)),
        ("not_mandate_holder", revoke(root, **not_by)),
        # Without a parent only a user grants, and what is needed is said.
        ("InvalidInput", grant(other, **by)),
        ("InvalidInput", grant(other) | {"currency": None}),
        ("InvalidInput", grant(other) | {"agent_id": None}),
    ]

    async def why_not(request: Json) -> str | None:
        return (await driver.failure(await driver.start(request))).type

    found = await asyncio.gather(*(why_not(request) for _, request in asked))
    assert found == [reason for reason, _ in asked]
    for _ in range(MAX_DEPTH - 2):
        below = await granted(driver, other, below)
    assert await why_not(grant(other, below)) == "mandate_too_deep"
    assert (await driver.run(revoke(below, **by)))["state"] == "revoked"


async def test_a_revoked_agent_delegates_nothing(driver: Driver, new_agent: NewAgent) -> None:
    agent = await new_agent()
    root = await granted(driver, agent)
    stop = {"operation_id": new_id("stop"), "action": "revoke", "agent_id": agent, **USER}
    await driver.run(stop)
    request = grant("another-bot", root, actor=f"agent:{agent}")
    assert (await driver.failure(await driver.start(request))).type == "agent_revoked"


async def test_the_approval_of_a_payment_is_bound_to_its_mandate(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    agent = await new_agent()
    names = [await granted(driver, agent) for _ in range(2)]
    asked = [payment(agent, 30_001, **more) for more in [{}, *({"mandate": n} for n in names)]]
    bindings = [(await driver.run(each), await probe.authorization(each)) for each in asked]
    assert len({found["binding"] for _, found in bindings}) == 3


async def test_a_simulation_keeps_what_a_mandate_denied(
    driver: Driver, ledger: Database, agent: str
) -> None:
    since, mandate = datetime.now(UTC), await granted(driver, agent, count=1)
    for _ in range(2):
        await driver.run(payment(agent, 100, mandate=mandate))
    request = PolicyRequest.model_validate(policy(agent, mandate_required=True))
    amounts = request.model_dump(include=set(PolicyState.__struct_fields__))
    asked = PolicyState(terms=Terms.read(request.terms()), **amounts)
    found = await simulate(ledger, asked, since, datetime.now(UTC))
    assert (found.decisions, found.differing) == (2, [])
    await driver.run(without := payment(agent, 100))
    found = await simulate(ledger, asked, since, datetime.now(UTC))
    [differing] = found.differing
    assert (differing.saga_id, differing.would_reasons) == (saga_of(without), ["no_mandate"])
