"""Reads the bookings that the ledger lets expect at the bank: the one place that says which money
moved, for who compares it with a statement."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

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
_STANDING: dict[str, Literal["moved", "in_doubt", "unmoved"]] = {
    "executed": "moved",
    "reversed": "moved",
    "started": "in_doubt",
    "refused": "unmoved",
    "cancelled": "unmoved",
}


@dataclass(frozen=True, slots=True)
class RecordedBooking:
    """A booking of a transfer. `direction` is as the bank has it on our account: a payment is a
    debit, its reversal a credit. `at` is the time of the event that says so."""

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
    """Yields the bookings of all transfers of an adapter, some hundreds at a time, in no order, as
    of one moment. Raises DatabaseUnavailable."""
    async with (
        reading(database) as connection,
        aclosing(stretches(connection, "bookings", _TRANSFERS, {"adapter": adapter})) as found,
    ):
        async for stretch in found:
            yield [booking for row in stretch for booking in _bookings(row)]


def _bookings(row: dict[str, Any]) -> list[RecordedBooking]:
    """Of what moves money in another way, such as a refund, the bookings go here."""
    debit = RecordedBooking(
        transfer_id=row["transfer_id"],
        key=row["key"],
        reference=row["reference"],
        direction="debit",
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        standing=_STANDING[row["state"]],
        at=row["head_at"],
    )
    if row["state"] != "reversed":
        return [debit]
    reference, left_at = row["left_reference"] or row["reference"], row["left_at"] or row["head_at"]
    return [
        replace(debit, reference=reference, at=left_at),
        replace(debit, direction="credit"),
    ]
