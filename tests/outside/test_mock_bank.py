import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from activities.adapters.mock import TAKE_FAULT, Fault, FaultName, MockBank, create_mock_bank
from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    PaymentAdapter,
    TransferOrder,
    TransferReport,
)
from tests.support.until import until

CBU = "2850590940090418135201"
SOMEONE_WAITS: LiteralString = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def order() -> TransferOrder:
    return TransferOrder(f"payment/{uuid4()}", 4_500_000, "ARS", CBU, "building expenses")


async def asked(url: str, query: LiteralString, *values: str) -> dict[str, Any] | None:
    """The first row that the bank itself has, read past the adapter."""
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as probe:
        return await (await probe.execute(query, values)).fetchone()


async def booked(url: str, key: str) -> dict[str, Any]:
    row = await asked(url, "SELECT * FROM mock_bank.transfers WHERE key = %s", key)
    assert row is not None
    return row


async def found(bank: MockBank, order: TransferOrder) -> TransferReport:
    report = await bank.find(order.key)
    assert report is not None
    return report


def test_the_mock_bank_is_a_payment_adapter(bank: MockBank) -> None:
    adapter: PaymentAdapter = bank
    assert (adapter.name, adapter.can_reverse) == ("mock", True)


async def test_the_schema_may_be_applied_again_and_by_two_at_once(mock_bank_url: str) -> None:
    await asyncio.gather(create_mock_bank(mock_bank_url), create_mock_bank(mock_bank_url))
    assert await asked(mock_bank_url, "SELECT 1 AS there FROM mock_bank.faults LIMIT 0") is None


async def test_a_transfer_is_executed_found_and_repeated_as_one_and_no_text_shows_the_account(
    bank: MockBank, order: TransferOrder, mock_bank_url: str
) -> None:
    assert await bank.find(order.key) is None
    report = await bank.transfer(order)
    assert report.status == "executed"
    assert report.reference is not None
    assert report.reference.startswith("TRF-20")
    assert (report.amount_minor, report.currency, report.destination) == (4_500_000, "ARS", CBU)
    assert await bank.find(order.key) == report
    assert await bank.transfer(order) == report
    assert (await booked(mock_bank_url, order.key))["deliveries"] == 2
    assert CBU not in repr(order) + repr(report)


async def test_two_orders_with_one_key_at_once_are_one_transfer(
    bank: MockBank, order: TransferOrder
) -> None:
    reports = await asyncio.gather(*(bank.transfer(order) for _ in range(8)))
    assert len({report.reference for report in reports}) == 1
    assert {report.status for report in reports} == {"executed"}


@pytest.mark.parametrize(
    "other", [{"amount_minor": 4_500_001}, {"currency": "USD"}, {"destination": CBU[::-1]}]
)
async def test_a_key_used_for_another_transfer_is_refused_and_changes_nothing(
    bank: MockBank, order: TransferOrder, other: dict[str, str]
) -> None:
    first = await bank.transfer(order)
    with pytest.raises(NotTheSameTransfer) as refusal:
        await bank.transfer(replace(order, **other))  # type: ignore[arg-type]
    assert CBU not in str(refusal.value)
    assert CBU[::-1] not in str(refusal.value)
    assert await bank.find(order.key) == first


class TestCancel:
    async def test_a_cancelled_key_is_refused_for_ever(
        self, bank: MockBank, order: TransferOrder
    ) -> None:
        cancelled = await bank.cancel(order.key)
        assert (cancelled.status, cancelled.amount_minor) == ("cancelled", None)
        for _ in range(2):
            assert (await bank.transfer(order)).status == "cancelled"
        assert await bank.find(order.key) == cancelled

    async def test_an_executed_transfer_is_said_to_be_executed(
        self, bank: MockBank, order: TransferOrder
    ) -> None:
        report = await bank.transfer(order)
        assert await bank.cancel(order.key) == report
        assert await bank.find(order.key) == report

    async def test_racing_a_transfer_one_wins_and_both_know_which(
        self, bank: MockBank, mock_bank_url: str
    ) -> None:
        ends: Counter[str] = Counter()
        for attempt in range(60):
            order = TransferOrder(f"payment/{uuid4()}", 100, "ARS", CBU)
            calls = [bank.transfer(order), bank.cancel(order.key)]
            first, second = await asyncio.gather(*(calls if attempt % 2 else calls[::-1]))
            row = await booked(mock_bank_url, order.key)
            assert first.status == second.status == row["status"]
            ends[first.status] += 1
        assert set(ends) <= {"executed", "cancelled"}
        assert ends.total() == 60


class TestReverse:
    async def test_twice_brings_the_money_back_once_and_a_late_order_moves_nothing(
        self, bank: MockBank, order: TransferOrder, mock_bank_url: str
    ) -> None:
        sent = await bank.transfer(order)
        first = await bank.reverse(order.key)
        assert first == replace(sent, status="reversed")
        row = await booked(mock_bank_url, order.key)
        assert await bank.reverse(order.key) == first
        assert await booked(mock_bank_url, order.key) == row
        assert (await bank.transfer(order)).status == "reversed"

    async def test_of_what_never_arrived_prevents_it(
        self, bank: MockBank, order: TransferOrder
    ) -> None:
        assert (await bank.reverse(order.key)).status == "cancelled"
        assert (await bank.transfer(order)).status == "cancelled"

    async def test_racing_a_transfer_leaves_no_money_with_the_destination(
        self, bank: MockBank
    ) -> None:
        for _ in range(30):
            order = TransferOrder(f"payment/{uuid4()}", 100, "ARS", CBU)
            await asyncio.gather(bank.transfer(order), bank.reverse(order.key))
            assert (await found(bank, order)).status in ("cancelled", "reversed")


class TestFaults:
    async def test_refuse_moves_nothing_and_the_refusal_stays(
        self, bank: MockBank, order: TransferOrder
    ) -> None:
        await bank.inject(Fault(order.key, "refuse", note="account closed"))
        report = await bank.transfer(order)
        assert (report.status, report.reason) == ("refused", "account closed")
        assert report.reference is None
        assert await bank.transfer(order) == report
        assert await bank.cancel(order.key) == report
        assert await bank.reverse(order.key) == report

    async def test_timeout_before_does_nothing(self, bank: MockBank, order: TransferOrder) -> None:
        await bank.inject(Fault(order.key, "timeout_before"))
        with pytest.raises(OutcomeUnknown):
            await bank.transfer(order)
        assert await bank.find(order.key) is None
        assert (await bank.transfer(order)).status == "executed"

    async def test_timeout_after_has_done_the_work(
        self, bank: MockBank, order: TransferOrder
    ) -> None:
        await bank.inject(Fault(order.key, "timeout_after"))
        with pytest.raises(OutcomeUnknown):
            await bank.transfer(order)
        done = await found(bank, order)
        assert done.status == "executed"
        assert await bank.transfer(order) == done

    @pytest.mark.parametrize("fault", ["timeout_after", "slow_after"])
    async def test_a_caller_that_dies_in_the_delay_leaves_the_work_done(
        self, bank: MockBank, order: TransferOrder, fault: FaultName
    ) -> None:
        await bank.inject(Fault(order.key, fault, delay_ms=60_000))
        caller = asyncio.create_task(bank.transfer(order))
        done = await until(lambda: bank.find(order.key))
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert done.status == "executed"

    async def test_a_caller_that_dies_before_slow_work_leaves_none(
        self, bank: MockBank, order: TransferOrder, mock_bank_url: str
    ) -> None:
        await bank.inject(Fault(order.key, "slow", delay_ms=60_000))
        caller = asyncio.create_task(bank.transfer(order))
        spent: LiteralString = "SELECT 1 FROM mock_bank.faults WHERE key = %s AND remaining = 0"
        await until(lambda: asked(mock_bank_url, spent, order.key))
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await bank.find(order.key) is None

    @pytest.mark.parametrize("fault", ["slow", "slow_after"])
    async def test_slow_answers_after_the_delay(
        self, bank: MockBank, order: TransferOrder, fault: FaultName
    ) -> None:
        await bank.inject(Fault(order.key, fault, delay_ms=80))
        clock = asyncio.get_running_loop().time
        began = clock()
        assert (await bank.transfer(order)).status == "executed"
        assert clock() - began >= 0.08

    async def test_answer_twice_is_one_transfer_that_arrived_twice(
        self, bank: MockBank, order: TransferOrder, mock_bank_url: str
    ) -> None:
        await bank.inject(Fault(order.key, "answer_twice"))
        report = await bank.transfer(order)
        row = await booked(mock_bank_url, order.key)
        assert (row["deliveries"], row["reference"]) == (2, report.reference)

    async def test_each_hits_as_many_calls_as_it_says_though_they_come_at_once(
        self, bank: MockBank, order: TransferOrder
    ) -> None:
        await bank.inject(Fault(order.key, "timeout_before", remaining=2))
        await bank.inject(Fault(order.key, "timeout_before"))
        calls = [bank.transfer(order) for _ in range(6)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(answer, OutcomeUnknown) for answer in answers) == 3

    async def test_two_calls_never_take_the_same_stroke(
        self, bank: MockBank, order: TransferOrder, mock_bank_url: str
    ) -> None:
        await bank.inject(Fault(order.key, "timeout_before"))
        stroke = {"key": order.key, "operation": "transfer"}
        async with await psycopg.AsyncConnection.connect(mock_bank_url) as first:
            assert (await first.execute(TAKE_FAULT, stroke)).rowcount == 1
            second = asyncio.create_task(bank.transfer(order))
            await until(lambda: asked(mock_bank_url, SOMEONE_WAITS))
            await first.commit()
        assert (await second).status == "executed"

    async def test_they_hit_their_own_key_and_operation_only(
        self, bank: MockBank, order: TransferOrder
    ) -> None:
        await bank.inject(Fault(order.key, "timeout_before", operation="find"))
        await bank.inject(Fault(order.key, "timeout_after", operation="reverse"))
        other = replace(order, key=f"{order.key}/other")
        assert (await bank.transfer(order)).status == "executed"
        assert (await bank.transfer(other)).status == "executed"
        with pytest.raises(OutcomeUnknown):
            await bank.find(order.key)
        with pytest.raises(OutcomeUnknown):
            await bank.reverse(order.key)
        assert (await found(bank, order)).status == "reversed"


async def test_a_bank_that_is_away_got_nothing_and_can_tell_nothing(
    order: TransferOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.adapters.mock.ANSWER_WITHIN_S", 0.2)
    async with MockBank("postgresql://nobody@127.0.0.1:1/nowhere") as away:
        with pytest.raises(NothingSent):
            await away.transfer(order)
        with pytest.raises(NothingSent):
            await away.cancel(order.key)
        with pytest.raises(OutcomeUnknown):
            await away.find(order.key)
