"""Money that arrives after its payment was undone: an event, a case for a person, and spend."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client

from activities import sending
from ledger.aggregates.policy import PolicyState, Terms
from ledger.audit.verify import verify
from ledger.database import Database
from ledger.read.policy_simulation import simulate
from starter.client.waiting import recorded_todos
from tests.bank.simulator import BindSimulator, Fault
from tests.sagas.bind_payments import BindPayments, check
from tests.sagas.conftest import NewAgent, Place, Stuck, working_for
from tests.support.driver import USER, Driver, Json, new_id, payment, policy
from tests.support.probe import Probe
from workflows.contract.policy import PolicyRequest

QUEUE = "sagas-arrivals-bind"
ANA = {"actor": "user:ana", "step": "execute transfer"}


def listing(**more: str) -> Json:
    """The list of the bank, up to now."""
    begins, ends = (datetime.now(UTC) + timedelta(minutes=each) for each in (-5, 0))
    times = {"begins_at": begins.isoformat(), "ends_at": ends.isoformat()}
    return {
        "operation_id": new_id("rec"),
        "listing": times,
        "booked_within": "PT1S",
        **USER,
        **more,
    }


async def wrongly_undone(driver: Driver, nobody_can_tell: Stuck) -> Json:
    """A payment that a person has resolved as failed, while the bank has moved the money."""
    request = await nobody_can_tell("timeout_after")
    await driver.tell(request, "resolve", {**ANA, "evidence": "ticket 17", "outcome": "failed"})
    assert (await driver.result(request))["state"] == "compensated"
    return request


@pytest.mark.parametrize("found_by", ["a look", "a statement"])
async def test_money_that_arrives_after_its_payment_was_undone_is_a_case_and_counts_as_spent(
    driver: Driver,
    probe: Probe,
    ledger: Database,
    nobody_can_tell: Stuck,
    found_by: str,
) -> None:
    request = await wrongly_undone(driver, nobody_can_tell)
    agent = request["agent_id"]
    assert await probe.spent(agent) == (0, 0)
    if found_by == "a look":
        await probe.heal(request)
    found = await driver.run(listing())
    assert (found["state"], found["kinds"]) == ("differences", {"arrived": 1})
    transfer = await probe.transfer(request)
    booked = await probe.booked(request)
    assert booked is not None
    assert (transfer["state"], transfer["reference"]) == ("arrived", booked["reference"])
    # The windows have it, whatever their limits.
    assert await probe.spent(agent) == (45_000, 1)
    [case] = await probe.ledger(
        "SELECT * FROM ledger.cases WHERE transfer_id = %s", transfer["transfer_id"]
    )
    assert (case["kind"], case["state"], case["booked_minor"]) == ("arrived", "open", 4_500_000)
    assert case["statement_id"].startswith("mock-look-") == (found_by == "a look")
    name = f"case/{case['case_id']}"
    assert name in {todo.name for todo in await recorded_todos(ledger)}

    # Seen again, by the bank's list and by a look, it is what is known.
    await probe.heal(request)
    size = "SELECT count(*) AS count FROM ledger.event_log WHERE aggregate ~ '^(case|transfer)/'"
    before = await probe.ledger(size)
    again = await driver.run(listing())
    assert (again["state"], again["kinds"]) == ("agreed", {})
    assert await probe.ledger(size) == before

    evidence = {"case_id": case["case_id"], "evidence": "paid back by hand: TRF-2", **USER}
    closed = await driver.run({"operation_id": new_id("close"), **evidence})
    assert closed["state"] == "closed"
    [last] = await probe.ledger("SELECT max(position) AS position FROM ledger.event_log")
    assert (await driver.run(payment(agent, 55_001)))["reason"] == "exceeded_daily_limit"
    assert (await driver.run(payment(agent, 10)))["state"] == "captured"
    assert await probe.spent(agent) == (45_010, 2)
    # What touches the agent later is judged with the money that arrived.
    assert (await verify(ledger, since=int(last["position"]))).findings == []


@pytest.fixture(scope="module")
async def bank_of_bind() -> AsyncIterator[BindSimulator]:
    async with BindSimulator() as running:
        yield running


@pytest.fixture
async def at_bind(
    client: Client, place: Place, probe: Probe, bank_of_bind: BindSimulator, new_agent: NewAgent
) -> AsyncIterator[BindPayments]:
    given = bank_of_bind.settings() | {"AMENDS_BIND_LOOK_AGAIN": "PT0.1S"}
    names = {name.removeprefix("AMENDS_").lower(): text for name, text in given.items()}
    async with working_for(client, place, QUEUE, **names):
        yield BindPayments(Driver(client, QUEUE), probe, bank_of_bind, new_agent)
    await check(probe, bank_of_bind)


async def test_a_transfer_that_bind_shows_after_absence_was_believed_is_a_case(
    at_bind: BindPayments, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"SEND_WITHIN": 0.5, "ABSENT_AFTER": 0.5}.items():
        monkeypatch.setattr(sending, name, timedelta(seconds=seconds))
    monkeypatch.setattr(sending, "MARGIN_S", 0.05)
    request = await at_bind.new(Fault(cut="drop", when="after", hidden=1_000))
    await at_bind.driver.start(request)
    await at_bind.until_in(request, "resolving")
    await at_bind.driver.tell(request, "cancel")
    result = await at_bind.driver.result(request)
    assert (result["state"], result["reason"]) == ("compensated", "cancelled")
    arrived = {"arrived": True, **USER}
    nothing = await at_bind.driver.run({"operation_id": new_id("rec"), **arrived})
    assert nothing["state"] == "agreed"
    at_bind.bank.transfers[at_bind.origin(request)].hidden = 0
    for kinds in ({"arrived": 1}, {}):
        found = await at_bind.driver.run({"operation_id": new_id("rec"), **arrived})
        assert found["kinds"] == kinds
    transfer = await probe.transfer(request)
    assert (transfer["state"], transfer["adapter"]) == ("arrived", "bind")
    assert await probe.spent(request["agent_id"]) == (45_000, 1)
    told = await probe.told(request, "transfer/%")
    # The arrival was seen by the reconciliation, not by the saga.
    assert told == ["TransferStarted", "TransferCancelled"]


async def test_the_same_policy_simulated_over_an_arrival_differs_in_nothing(
    driver: Driver, probe: Probe, ledger: Database, nobody_can_tell: Stuck
) -> None:
    since = datetime.now(UTC)
    request = await wrongly_undone(driver, nobody_can_tell)
    await probe.heal(request)
    agent = request["agent_id"]
    assert (await driver.run(listing()))["kinds"] == {"arrived": 1}
    assert (await driver.run(payment(agent, 55_001)))["reason"] is not None
    assert (await driver.run(payment(agent, 60_000)))["reason"] == "exceeded_daily_limit"
    asked = PolicyRequest.model_validate(policy(agent))
    amounts = asked.model_dump(include=set(PolicyState.__struct_fields__))
    same = PolicyState(terms=Terms.read(asked.terms()), **amounts)
    found = await simulate(ledger, same, since, datetime.now(UTC))
    assert [(each.was, each.would) for each in found.differing] == []
