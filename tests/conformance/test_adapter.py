"""What every payment adapter promises: docs/recipes/adapter.md."""

import asyncio
from dataclasses import replace

import pytest

from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    PaymentAdapter,
    TransferOrder,
    TransferReport,
)
from tests.conformance.bank import Bank

needs = pytest.mark.needs
AT_ONCE = 8


async def ends(bank: Bank, order: TransferOrder) -> list[TransferReport | BaseException]:
    """The same order, sent often at the same moment."""
    sent = (bank.adapter.transfer(order) for _ in range(AT_ONCE))
    return await asyncio.gather(*sent, return_exceptions=True)


def assert_executed(report: TransferReport | None, order: TransferOrder) -> None:
    assert report is not None
    assert report.status == "executed"
    assert report.key == order.key
    assert report.reference
    told = (report.amount_minor, report.currency, report.destination)
    assert told == (order.amount_minor, order.currency, order.destination)


@pytest.mark.parametrize("minor", [1, 99, 4_500_050, 999_999_999_999])
async def test_a_transfer_is_carried_out_once_with_the_exact_amount(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder, minor: int
) -> None:
    order = replace(order, amount_minor=minor)
    assert await adapter.find(order.key) is None
    report = await adapter.transfer(order)
    assert_executed(report, order)
    assert await adapter.transfer(order) == report
    assert await adapter.find(order.key) == report
    assert await bank.moved(order.key) == [minor]


async def test_orders_with_one_key_that_race_are_one_transfer(
    bank: Bank, order: TransferOrder
) -> None:
    reports = await ends(bank, order)
    assert reports == [reports[0]] * AT_ONCE
    assert isinstance(reports[0], TransferReport)
    assert_executed(reports[0], order)
    assert await bank.moved(order.key) == [order.amount_minor]


async def test_transfers_of_other_keys_are_other_transfers(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    other = replace(order, key=order.key + "-2")
    first, second = await asyncio.gather(adapter.transfer(order), adapter.transfer(other))
    assert first.reference != second.reference
    assert len({adapter.known_as(each.key) for each in (order, order, other)}) == 2
    assert await bank.moved(other.key) == [other.amount_minor]


@needs("refused")
async def test_a_refused_transfer_says_why_and_moves_nothing(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    await bank.script(order, "refused")
    for _ in range(2):
        report = await adapter.transfer(order)
        assert (report.status, report.reference) == ("refused", None)
        assert report.reason
    found = await adapter.find(order.key)
    assert found is None or found.status == "refused"
    assert await bank.moved(order.key) == []


@needs("lost_after")
async def test_the_answer_to_a_transfer_that_was_lost_is_found(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    await bank.script(order, "lost_after")
    with pytest.raises(OutcomeUnknown):
        await adapter.transfer(order)
    found = await adapter.find(order.key)
    assert_executed(found, order)
    assert await adapter.transfer(order) == found
    assert await bank.moved(order.key) == [order.amount_minor]


@needs("lost_before")
async def test_a_transfer_that_was_lost_on_its_way_may_be_sent_again(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    await bank.script(order, "lost_before")
    with pytest.raises(OutcomeUnknown):
        await adapter.transfer(order)
    assert await bank.moved(order.key) == []
    assert await adapter.find(order.key) is None
    assert_executed(await adapter.transfer(order), order)
    assert await bank.moved(order.key) == [order.amount_minor]


@needs("late")
async def test_an_order_that_arrives_after_its_repeat_moves_nothing_more(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    await bank.script(order, "late")
    with pytest.raises(OutcomeUnknown):
        await adapter.transfer(order)
    report = await adapter.transfer(order)
    await bank.deliver(order)
    assert await adapter.find(order.key) == report
    assert await bank.moved(order.key) == [order.amount_minor]


@needs("late")
async def test_a_cancel_keeps_out_what_is_late_or_says_that_it_can_not(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    await bank.script(order, "late")
    with pytest.raises(OutcomeUnknown):
        await adapter.transfer(order)
    if not adapter.can_cancel:
        with pytest.raises(OutcomeUnknown):
            await adapter.cancel(order.key)
        await bank.deliver(order)
        assert_executed(await adapter.cancel(order.key), order)
        return
    assert (await adapter.cancel(order.key)).status == "cancelled"
    await bank.deliver(order)
    assert (await adapter.transfer(order)).status == "cancelled"
    assert await bank.moved(order.key) == []


async def test_a_cancel_leaves_what_is_executed_alone(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    report = await adapter.transfer(order)
    assert await adapter.cancel(order.key) == report
    assert await bank.moved(order.key) == [order.amount_minor]


async def test_a_cancel_that_races_with_its_transfer_agrees_with_it(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    sent, cancelled = await asyncio.gather(
        adapter.transfer(order), adapter.cancel(order.key), return_exceptions=True
    )
    assert isinstance(sent, TransferReport)
    if isinstance(cancelled, BaseException):
        assert isinstance(cancelled, OutcomeUnknown)
        assert not adapter.can_cancel
    else:
        assert cancelled.status == sent.status
    executed = sent.status == "executed"
    assert await bank.moved(order.key) == ([order.amount_minor] if executed else [])


async def test_a_reversal_brings_the_money_back_once_where_there_is_one(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    if not adapter.can_reverse:
        with pytest.raises(NotImplementedError):
            await adapter.reverse(order.key)
        return
    await adapter.transfer(order)
    reports = await asyncio.gather(*(adapter.reverse(order.key) for _ in range(AT_ONCE)))
    assert {report.status for report in reports} == {"reversed"}
    assert await bank.moved(order.key) == []
    assert (await adapter.transfer(order)).status == "reversed"
    # A key under which nothing moved ends as after a cancel.
    never = replace(order, key=order.key + "-never")
    assert (await adapter.reverse(never.key)).status == "cancelled"
    assert (await adapter.transfer(never)).status == "cancelled"


@pytest.mark.parametrize("what", ["amount", "destination"])
async def test_another_transfer_under_a_known_key_is_not_the_same_and_is_not_made(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder, what: str
) -> None:
    await adapter.transfer(order)
    changed: TransferOrder = (
        replace(order, amount_minor=order.amount_minor + 1)
        if what == "amount"
        else replace(order, destination=bank.elsewhere())
    )
    with pytest.raises(NotTheSameTransfer) as failed:
        await adapter.transfer(changed)
    assert_silent(failed.value, changed)
    assert await bank.moved(order.key) == [order.amount_minor]


async def test_a_bank_that_can_not_be_reached_did_nothing_and_tells_nothing(
    bank: Bank, order: TransferOrder
) -> None:
    with pytest.raises(NothingSent) as failed:
        await bank.unreachable.transfer(order)
    assert_silent(failed.value, order)
    with pytest.raises(OutcomeUnknown) as unknown:
        await bank.unreachable.find(order.key)
    assert_silent(unknown.value, order)
    assert await bank.moved(order.key) == []


@needs("find_lost")
async def test_a_look_up_without_an_answer_is_no_absence(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    report = await adapter.transfer(order)
    await bank.script(order, "find_lost")
    with pytest.raises(OutcomeUnknown):
        await adapter.find(order.key)
    assert await adapter.find(order.key) == report


@needs("unfinished")
async def test_a_transfer_without_outcome_is_unknown_until_it_has_one(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    await bank.script(order, "unfinished")
    for look in (adapter.transfer(order), adapter.find(order.key)):
        with pytest.raises(OutcomeUnknown) as unknown:
            await look
        assert_silent(unknown.value, order)
    assert_executed(await adapter.find(order.key), order)


def assert_silent(error: Exception, order: TransferOrder) -> None:
    """No account number in what people and logs get to see."""
    assert order.destination not in repr(error) + str(error)


async def test_no_text_of_an_order_or_a_report_shows_the_account(
    adapter: PaymentAdapter, order: TransferOrder
) -> None:
    report = await adapter.transfer(order)
    assert order.destination not in repr(order) + repr(report)
