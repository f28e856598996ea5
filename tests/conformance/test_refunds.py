"""What every payment adapter with refunds promises: docs/recipes/adapter.md."""

import asyncio
from dataclasses import replace

import pytest

from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    PaymentAdapter,
    RefundOrder,
    TransferOrder,
    TransferReport,
)
from tests.conformance.bank import REFUNDS, Bank

needs = pytest.mark.needs
refunds = needs(REFUNDS)
AT_ONCE = 8


@pytest.fixture
async def back(adapter: PaymentAdapter, order: TransferOrder) -> RefundOrder:
    """A refund of a third of an executed transfer."""
    assert (await adapter.transfer(order)).status == "executed"
    return RefundOrder(f"refund/{order.key}", order.key, order.amount_minor // 3, order.currency)


async def test_an_adapter_says_whether_it_has_refunds(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder
) -> None:
    assert adapter.can_refund == (REFUNDS in bank.can)
    if not adapter.can_refund:
        with pytest.raises(NotImplementedError):
            await adapter.refund(RefundOrder(f"refund/{order.key}", order.key, 1, order.currency))


def assert_executed(report: TransferReport | None, back: RefundOrder) -> None:
    assert report is not None
    assert (report.status, report.key, report.refund_of) == (
        *("executed", back.key),
        back.transfer_key,
    )
    assert report.reference
    assert (report.amount_minor, report.currency) == (back.amount_minor, back.currency)


@refunds
async def test_refunds_with_one_key_that_race_are_one_refund(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder, back: RefundOrder
) -> None:
    assert await adapter.find(back.key) is None
    reports = await asyncio.gather(*(adapter.refund(back) for _ in range(AT_ONCE)))
    assert reports == [reports[0]] * AT_ONCE
    assert_executed(reports[0], back)
    assert reports[0].reference != (await adapter.transfer(order)).reference
    assert await adapter.find(back.key) == reports[0]
    # The transfer stays as it was, and so does the refund: neither is cancelled any more.
    assert (await adapter.cancel(order.key)).status == "executed"
    assert await adapter.cancel(back.key) == reports[0]
    assert await bank.moved(order.key) == [order.amount_minor]
    assert await bank.moved(back.key) == [back.amount_minor]


@refunds
async def test_refunds_that_race_are_never_above_the_transfer(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder, back: RefundOrder
) -> None:
    parts = [replace(back, key=f"{back.key}-{number}") for number in range(AT_ONCE)]
    reports = await asyncio.gather(*map(adapter.refund, parts))
    assert [report.status for report in reports].count("executed") == 3
    assert all(report.reason for report in reports if report.status == "refused")
    moved = [minor for part in parts for minor in await bank.moved(part.key)]
    assert moved == [order.amount_minor // 3] * 3
    # To the last minor unit, and no further.
    rest = replace(back, key=f"{back.key}-rest", amount_minor=order.amount_minor - sum(moved) + 1)
    assert (await adapter.refund(rest)).status == "refused"
    assert (await adapter.refund(replace(back, key=f"{back.key}-none"))).status == "refused"


@refunds
async def test_nothing_goes_back_of_what_was_not_executed(
    adapter: PaymentAdapter, order: TransferOrder, back: RefundOrder
) -> None:
    of_nothing = replace(back, key=f"{back.key}-nothing", transfer_key=f"{order.key}-never")
    assert (await adapter.refund(of_nothing)).status == "refused"
    await adapter.refund(back)
    of_a_refund = replace(back, key=f"{back.key}-back", transfer_key=back.key)
    assert (await adapter.refund(of_a_refund)).status == "refused"


@refunds
async def test_another_order_under_the_key_of_a_refund_is_not_the_same(
    adapter: PaymentAdapter, order: TransferOrder, back: RefundOrder
) -> None:
    await adapter.refund(back)
    with pytest.raises(NotTheSameTransfer):
        await adapter.refund(replace(back, amount_minor=back.amount_minor - 1))
    with pytest.raises(NotTheSameTransfer):
        await adapter.refund(replace(back, key=order.key))
    with pytest.raises(NotTheSameTransfer):
        await adapter.transfer(replace(order, key=back.key, amount_minor=back.amount_minor))


@needs(REFUNDS, "refused", "lost_after", "lost_before")
async def test_a_refund_is_refused_found_and_sent_again_as_a_transfer_is(
    bank: Bank, adapter: PaymentAdapter, back: RefundOrder
) -> None:
    refused, found, again = (replace(back, key=f"{back.key}-{name}") for name in "abc")
    await bank.script(refused, "refused")
    for _ in range(2):
        report = await adapter.refund(refused)
        assert (report.status, report.reference) == ("refused", None)
    await bank.script(found, "lost_after")
    with pytest.raises(OutcomeUnknown):
        await adapter.refund(found)
    assert_executed(await adapter.find(found.key), found)
    await bank.script(again, "lost_before")
    with pytest.raises(OutcomeUnknown):
        await adapter.refund(again)
    assert await adapter.find(again.key) is None
    assert_executed(await adapter.refund(again), again)


@needs(REFUNDS, "late")
async def test_a_cancel_keeps_a_late_refund_out(
    bank: Bank, adapter: PaymentAdapter, back: RefundOrder
) -> None:
    await bank.script(back, "late")
    with pytest.raises(OutcomeUnknown):
        await adapter.refund(back)
    if not adapter.can_cancel:
        with pytest.raises(OutcomeUnknown):
            await adapter.cancel(back.key)
        return
    assert (await adapter.cancel(back.key)).status == "cancelled"
    await bank.deliver(back)
    assert (await adapter.refund(back)).status == "cancelled"
    assert await bank.moved(back.key) == []


@refunds
async def test_a_transfer_of_which_some_went_back_is_not_reversed(
    bank: Bank, adapter: PaymentAdapter, order: TransferOrder, back: RefundOrder
) -> None:
    await adapter.refund(back)
    if adapter.can_reverse:
        assert (await adapter.reverse(order.key)).status == "executed"
        assert (await adapter.reverse(back.key)).status == "executed"
    assert await bank.moved(order.key) == [order.amount_minor]


@refunds
async def test_a_refund_that_can_not_reach_the_bank_did_nothing(
    bank: Bank, back: RefundOrder
) -> None:
    with pytest.raises(NothingSent):
        await bank.unreachable.refund(back)
    assert await bank.moved(back.key) == []
