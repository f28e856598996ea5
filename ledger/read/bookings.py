"""Reads the bookings that the ledger lets expect at the bank: the one place that says which money
moved, for who compares it with a statement."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from ledger.aggregates.transfer import TRANSFER, TransferState
from ledger.database import Database
from ledger.read.cursors import reading, stretches

# The row has the time of its last event only: that of a reversed transfer is when the money came
# back. When it left, and under which reference, is in the log.
_TRANSFERS = """
    SELECT transfer_id, key, state, amount_minor, currency, reference, head_at,
        left_at, left_reference
    FROM ledger.transfers AS transfer
    LEFT JOIN LATERAL (
        SELECT max("timestamp") AS left_at,
            max(payload ->> 'reference') AS left_reference
        FROM ledger.event_log AS event
        WHERE event.aggregate_id = transfer.aggregate_id
            AND event_type IN ('TransferStarted', 'TransferExecuted')
    ) AS executed ON state = 'reversed'
    WHERE adapter = %(adapter)s
"""
# Nothing takes a refund back, so the row has all.
_REFUNDS = """
    SELECT refund_id, key, state, amount_minor, currency, reference, head_at
    FROM ledger.refunds WHERE adapter = %(adapter)s
"""
_STANDING: dict[str, Literal["moved", "in_doubt", "unmoved"]] = {
    "executed": "moved",
    "reversed": "moved",
    "started": "in_doubt",
    "refused": "unmoved",
    "cancelled": "unmoved",
    "arrived": "moved",
}

# The states of a transfer that moved nothing, and by our record never will.
UNMOVED = frozenset(state for state, standing in _STANDING.items() if standing == "unmoved")
# Together with the index transfers_unmoved.
_UNMOVED = """
    SELECT * FROM ledger.transfers
    WHERE state IN ('refused', 'cancelled') AND adapter = %(adapter)s
        AND head_at > clock_timestamp() - %(within)s
    ORDER BY head_at DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class RecordedBooking:
    """A booking of a transfer, or of a refund: then `transfer_id` is the id of the refund.
    `direction` is as the bank has it on our account: a payment is a debit, its reversal and a
    refund are credits. `at` is the time of the event that says so."""

    transfer_id: str
    key: str
    reference: str | None
    direction: Literal["credit", "debit"]
    amount_minor: int
    currency: str
    standing: Literal["moved", "in_doubt", "unmoved"]
    at: datetime


async def recorded_bookings(
    database: Database, adapter: str
) -> AsyncGenerator[list[RecordedBooking], None]:
    """Yields the bookings of all transfers and refunds of an adapter, some hundreds at a time, in
    no order, as of one moment. Raises DatabaseUnavailable."""
    values = {"adapter": adapter}
    async with reading(database) as connection:
        async with aclosing(stretches(connection, "bookings", _TRANSFERS, values)) as found:
            async for stretch in found:
                yield [booking for row in stretch for booking in _bookings(row)]
        async with aclosing(stretches(connection, "refunds", _REFUNDS, values)) as found:
            async for stretch in found:
                yield [_refund(row) for row in stretch]


async def unmoved_transfers(
    database: Database, adapter: str, within: timedelta, limit: int
) -> list[TransferState]:
    """The transfers of an adapter that ended within this time and moved nothing, the latest first.
    Raises DatabaseUnavailable, RowUnreadable."""
    values = {"adapter": adapter, "within": within, "limit": limit}
    async with reading(database) as connection:
        rows = await (await connection.execute(_UNMOVED.encode(), values)).fetchall()
    found = [TRANSFER.state_of(row) for row in rows]
    return [each for each in found if isinstance(each, TransferState)]


def _bookings(row: dict[str, Any]) -> list[RecordedBooking]:
    debit = _booking(row, row["transfer_id"], "debit")
    if row["state"] != "reversed":
        return [debit]
    reference, left_at = row["left_reference"] or row["reference"], row["left_at"] or row["head_at"]
    return [
        replace(debit, reference=reference, at=left_at),
        replace(debit, direction="credit"),
    ]


def _refund(row: dict[str, Any]) -> RecordedBooking:
    return _booking(row, row["refund_id"], "credit")


def _booking(
    row: dict[str, Any], transfer_id: str, direction: Literal["credit", "debit"]
) -> RecordedBooking:
    return RecordedBooking(
        transfer_id=transfer_id,
        key=row["key"],
        reference=row["reference"],
        direction=direction,
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        standing=_STANDING[row["state"]],
        at=row["head_at"],
    )
