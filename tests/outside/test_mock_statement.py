"""The mock bank's own statement is right: read by the reader of statements, it is the books."""

import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from activities.adapters.mock import Fault, MockBank
from activities.adapters.payment import Listing, RefundOrder, TransferOrder
from activities.statements.entry import Entry, Statement
from activities.statements.ids import MAX_END_TO_END_ID, end_to_end_id
from activities.statements.read import read_statement

CBU = "2850590940090418135201"
# A currency that no other test pays in.
CURRENCY = "TND"
SHOWN = ("direction", "amount_minor", "reference", "end_to_end_id", "reversal")


async def listed(bank: MockBank, begins: datetime, ends: datetime) -> tuple[list[str], str]:
    """The entries of the currency, and its balances."""
    text = "".join([piece async for piece in bank.statement(begins, ends)])
    found = list(read_statement(io.BytesIO(text.encode())))
    entries = [
        " ".join(str(getattr(each, field)) for field in SHOWN)
        for each in found
        if isinstance(each, Entry) and each.currency == CURRENCY
    ]
    [totals] = [
        each.totals[CURRENCY]
        for each in found
        if isinstance(each, Statement) and CURRENCY in each.totals
    ]
    assert totals.missing_minor == 0
    return entries, f"{totals.opening_minor} {totals.closing_minor}"


async def test_a_time_without_a_booking_has_an_empty_statement(bank: MockBank) -> None:
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    text = "".join([piece async for piece in bank.statement(begins, begins + timedelta(days=1))])
    [statement] = read_statement(io.BytesIO(text.encode()))
    assert isinstance(statement, Statement)
    assert (statement.begins_at, statement.totals) == (begins, {})


async def test_the_statement_of_the_mock_bank_is_its_books(bank: MockBank) -> None:
    assert isinstance(bank, Listing)
    keys = [f"payment/{uuid4()}-{'long' * 12}" for _ in range(4)]
    orders = [TransferOrder(key, 1000 + n, CURRENCY, CBU) for n, key in enumerate(keys)]
    begins = datetime.now(UTC) - timedelta(minutes=5)
    await bank.inject(Fault(keys[2], "refuse"))
    paid, reversed_, *_ = [await bank.transfer(order) for order in orders[:3]]
    await bank.cancel(keys[3])
    middle = datetime.now(UTC) + timedelta(seconds=1)
    first, balances = await listed(bank, begins, middle)
    ids = [end_to_end_id(key) for key in keys]
    assert max(map(len, ids)) <= MAX_END_TO_END_ID
    debits = [
        f"debit 1000 {paid.reference} {ids[0]} False",
        f"debit 1001 {reversed_.reference} {ids[1]} False",
    ]
    assert (first, balances) == (debits, "0 -2001")

    await bank.reverse(keys[1])
    back = await bank.refund(RefundOrder(f"refund/{keys[0][8:]}", keys[0], 400, CURRENCY))
    ends = datetime.now(UTC) + timedelta(seconds=1)
    credits = [
        f"credit 1001 {reversed_.reference} {ids[1]} True",
        f"credit 400 {back.reference} {end_to_end_id(back.key)} False",
    ]
    assert await listed(bank, begins, ends) == ([*debits, *credits], "0 -600")
    assert await listed(bank, ends, ends + timedelta(days=1)) == ([], "-600 -600")
