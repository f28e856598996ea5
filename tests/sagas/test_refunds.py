"""Refunds of captured payments: never above what was captured, and never twice."""

import asyncio
from typing import LiteralString

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.adapters.mock import MockBank
from activities.authorizations import AuthorizationActivities
from activities.refunds import RefundActivities
from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from activities.transfers import TransferActivities
from ledger.database import Database
from tests.sagas.conftest import Inject, Landed, NewAgent, Place
from tests.support.driver import Driver, Json, new_id, payment, refund, saga_of
from tests.support.probe import Probe
from tests.support.until import until
from worker.wiring import worker
from workflows.payment import PaymentSaga
from workflows.refund import RefundSaga

STEP = "execute refund"
ANA = {"actor": "user:ana", "step": STEP}


@pytest.fixture
async def paid(driver: Driver, agent: str) -> Json:
    """A captured payment of 45,000 pesos."""
    request = payment(agent, 45_000)
    assert (await driver.run(request))["state"] == "captured"
    return request


async def went_back(probe: Probe, paid: Json) -> int:
    """What the bank has sent back of a payment, in pesos."""
    refunded: LiteralString = (
        "SELECT coalesce(sum(amount_minor), 0)::bigint AS minor FROM mock_bank.transfers"
    )
    rows = await probe.bank(
        refunded + " WHERE refund_of = %s AND status = 'executed'",
        saga_of(paid),
    )
    transfer, booked = await probe.transfer(paid), await probe.until_booked(paid)
    # The ledger, the bank's row and the sum of its refunds agree, and nothing is held any more.
    assert transfer["refunding_minor"] == 0
    assert transfer["refunded_minor"] == booked["refunded_minor"] == rows[0]["minor"]
    return int(rows[0]["minor"]) // 100


async def test_parts_and_the_rest_are_refunded_exactly_and_one_more_is_denied(
    driver: Driver, probe: Probe, agent: str, paid: Json
) -> None:
    part = refund(paid, 15_000)
    result = await driver.run(part)
    reference = result["provider_reference"]
    assert reference.startswith("RFD-")
    row = await probe.refund(part)
    assert result.pop("unsigned")
    assert result == {
        "state": "refunded",
        "refund_id": row["refund_id"],
        "transfer_id": (await probe.transfer(paid))["transfer_id"],
        "provider_reference": reference,
        "amount_minor": 1_500_000,
        "currency": "ARS",
        "reason": None,
        "residuals": [],
    }
    told = ["RefundRequested", "RefundReserved", "RefundStarted", "RefundExecuted"]
    assert await probe.told(part, "refund/%") == told
    assert await probe.told(part, "transfer/%") == ["TransferRefundReserved", "TransferRefunded"]
    assert (await driver.run(part))["provider_reference"] == reference
    too_much = await driver.run(refund(paid, 30_001))
    assert (too_much["state"], too_much["reason"]) == ("denied", "exceeds_captured")
    assert (await driver.run(refund(paid, payment=saga_of(paid))))["amount_minor"] == 3_000_000
    nothing_left = await driver.run(refund(paid))
    assert (nothing_left["state"], nothing_left["reason"]) == ("denied", "exceeds_captured")
    assert await went_back(probe, paid) == 45_000
    # A limit counts what was paid: a refund opens no window again.
    assert await probe.spent(agent) == (45_000, 1)


async def test_of_twenty_refunds_at_once_those_are_carried_out_that_fit(
    driver: Driver, probe: Probe, paid: Json
) -> None:
    results = await asyncio.gather(*(driver.run(refund(paid, 6_000)) for _ in range(20)))
    ends = [(result["state"], result["reason"]) for result in results]
    assert ends.count(("refunded", None)) == 7
    assert ends.count(("denied", "exceeds_captured")) == 13
    assert await went_back(probe, paid) == 42_000


async def test_a_refund_is_of_one_of_several_captures_also_while_the_rest_is_not_captured(
    driver: Driver, probe: Probe, agent: str
) -> None:
    paid = payment(agent, 45_000, capture="manual")
    await driver.submit(paid)
    by = {"actor": f"agent:{agent}"}
    await driver.tell(paid, "capture", {**by, "amount_minor": 2_000_000})
    first = await driver.run(refund(paid, 5_000))
    assert (await driver.run(refund(paid, 15_001)))["reason"] == "exceeds_captured"
    await driver.tell(paid, "capture", by)
    assert (await driver.result(paid))["state"] == "captured"
    assert (await driver.run(refund(paid, 25_001)))["reason"] == "exceeds_one_capture"
    second = await driver.run(refund(paid, 25_000))
    assert (second["state"], second["transfer_id"] != first["transfer_id"]) == ("refunded", True)
    rest = await driver.run(refund(paid))
    assert (rest["amount_minor"], rest["transfer_id"]) == (1_500_000, first["transfer_id"])
    moved = await probe.ledger(
        "SELECT amount_minor - refunded_minor AS kept FROM ledger.transfers WHERE saga_id = %s",
        saga_of(paid),
    )
    assert [row["kept"] for row in moved] == [0, 0]


async def test_no_fault_of_the_bank_refunds_twice_or_loses_a_refund(
    driver: Driver, probe: Probe, new_agent: NewAgent, inject: Inject
) -> None:
    async def back(fault: str, end: tuple[str, str | None], pesos: int) -> None:
        paid = payment(await new_agent(), 45_000)
        await driver.run(paid)
        asked = refund(paid, 20_000)
        await inject(asked, fault, operation="refund", delay_ms=20, note="account closed")
        result = await driver.run(asked)
        assert (result["state"], result["reason"]) == end
        assert await went_back(probe, paid) == pesos
        # What was not carried out may be refunded by another.
        rest = await driver.run(refund(paid))
        assert (rest["state"], rest["amount_minor"]) == ("refunded", (45_000 - pesos) * 100)

    done = ("answer_twice", "timeout_before", "timeout_after", "slow", "slow_after")
    refused = back("refuse", ("failed", "provider_refused"), 0)
    await asyncio.gather(refused, *(back(fault, ("refunded", None), 20_000) for fault in done))


async def test_a_refund_in_doubt_holds_its_amount_until_a_person_says_how_it_ended(
    driver: Driver, probe: Probe, paid: Json, inject: Inject, soon_asked: None
) -> None:
    async def stuck(pesos: int, fault: str) -> Json:
        asked = refund(paid, pesos)
        await inject(asked, fault, operation="refund")
        await inject(asked, "timeout_before", operation="find", remaining=1_000)
        await driver.start(asked)
        await until(lambda: driver.is_in(asked, "needs_attention"))
        return asked

    landed, lost = await stuck(30_000, "timeout_after"), await stuck(10_000, "timeout_before")
    assert (await driver.run(refund(paid, 5_001)))["reason"] == "exceeds_captured"
    reference = (await probe.until_booked(landed))["reference"]
    told = {**ANA, "outcome": "done", "evidence": reference}
    await driver.tell(landed, "resolve", told)
    assert (await driver.result(landed))["provider_reference"] == reference
    await driver.tell(lost, "resolve", {**ANA, "outcome": "failed", "evidence": "ticket 17"})
    result = await driver.result(lost)
    assert (result["state"], result["reason"]) == ("failed", "provider_failed")
    assert await probe.told(lost, "refund/%") == [
        *("RefundRequested", "RefundReserved", "RefundStarted", "RefundCancelled")
    ]
    assert await went_back(probe, paid) == 30_000


async def test_a_refund_that_was_not_sent_in_time_is_cancelled_and_never_sent(
    driver: Driver, probe: Probe, paid: Json, inject: Inject, quick_heartbeat: None
) -> None:
    asked = refund(paid, 20_000)
    await inject(asked, "timeout_before", operation="refund")
    await inject(asked, "timeout_before", operation="find")
    handle = await driver.start(asked)
    await until(lambda: driver.is_in(asked, "resolving"))
    # Money that came back is not sent again: whoever cancels only learns how it ends.
    assert (await driver.tell(asked, "cancel"))["state"] in ("resolving", "running")
    result = await handle.result()
    assert (result["state"], result["reason"]) == ("failed", "cancelled")
    assert await probe.is_booked_as(asked, "cancelled")
    assert await went_back(probe, paid) == 0


async def test_what_is_not_captured_is_not_refunded(
    driver: Driver, probe: Probe, new_agent: NewAgent, landed: Landed
) -> None:
    async def denied(asked: Json) -> str:
        result = await driver.run(asked)
        assert (result["state"], result["transfer_id"]) == ("denied", None)
        assert await probe.told(asked, "refund/%") == ["RefundRequested", "RefundDenied"]
        return str(result["reason"])

    assert await denied(refund({"operation_id": new_id("never")})) == "unknown_payment"
    refused = payment(await new_agent(), 70_000)
    await driver.run(refused)
    assert await denied(refund(refused)) == "not_captured"
    waiting = payment(await new_agent(), 45_000, capture="manual")
    await driver.submit(waiting)
    assert await denied(refund(waiting, 1)) == "not_captured"
    await driver.tell(waiting, "cancel")
    in_doubt = payment(await new_agent(), 45_000)
    handle = await landed(in_doubt, "timeout_after", delay_ms=300)
    assert await denied(refund(in_doubt)) == "capture_undecided"
    assert (await handle.result())["state"] == "captured"
    dollars = {"minor": 1, "currency": "USD"}
    assert await denied(refund(in_doubt, amount=dollars)) == "another_currency"
    assert (await driver.run(refund(in_doubt)))["state"] == "refunded"


class Bookstore(MockBank):
    """A bank that takes nothing back."""

    can_refund = False


async def test_an_adapter_without_refunds_is_asked_for_none(
    client: Client, place: Place, ledger: Database, probe: Probe, agent: str
) -> None:
    queue = new_id("refunds")
    async with Bookstore(place.bank_url) as bank:
        rooms = [
            *(SagaActivities(ledger, client), StepRecords(ledger), AuthorizationActivities(ledger)),
            *(TransferActivities(ledger, bank), RefundActivities(ledger, bank)),
        ]
        async with worker(client, queue, [PaymentSaga, RefundSaga], rooms):
            driver, paid = Driver(client, queue), payment(agent, 45_000)
            await driver.run(paid)
            result = await driver.run(asked := refund(paid))
    assert (result["state"], result["reason"]) == ("denied", "not_refundable")
    assert await probe.booked(asked) is None


async def test_an_agent_refunds_nothing(driver: Driver, paid: Json) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await driver.submit(refund(paid, actor=f"agent:{paid['agent_id']}"))
    assert "actor" in str(refused.value.cause)
