"""The statement of the mock bank: camt.053 of its books, one statement for each currency, as a
stream."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from activities.statements import camt_writer
from activities.statements.entry import Entry, Statement, Totals
from activities.statements.ids import end_to_end_id

ACCOUNT = "MOCK"
_ROWS_AT_ONCE = 2_000
# A reversed transfer is on the account twice: money out, and back. A refund is a credit by itself.
_BOOKINGS = """
    SELECT created_at AS at,
        CASE WHEN refund_of IS NULL THEN 'debit' ELSE 'credit' END AS direction, key, reference,
        amount_minor, currency, false AS reversal
    FROM mock_bank.transfers WHERE status IN ('executed', 'reversed')
    UNION ALL
    SELECT reversed_at, 'credit', key, reference, amount_minor, currency, true
    FROM mock_bank.transfers WHERE status = 'reversed'
"""
_SIGNED = "CASE direction WHEN 'credit' THEN amount_minor ELSE -amount_minor END"
_SUMS = f"""
    SELECT currency,
           coalesce(sum({_SIGNED}) FILTER (WHERE at < %(begins_at)s), 0)::bigint AS opening_minor,
           coalesce(sum({_SIGNED}), 0)::bigint AS closing_minor
    FROM ({_BOOKINGS}) AS booking WHERE at < %(ends_at)s
    GROUP BY currency ORDER BY currency
"""
_ENTRIES = f"""
    SELECT * FROM ({_BOOKINGS}) AS booking
    WHERE currency = %(currency)s AND at >= %(begins_at)s AND at < %(ends_at)s
    ORDER BY at, key, direction DESC
"""


async def pieces(
    connection: psycopg.AsyncConnection[DictRow], begins_at: datetime, ends_at: datetime
) -> AsyncGenerator[str]:
    """Yields the file that has what was booked from `begins_at` until before `ends_at`. The account
    began with nothing, so its balance is that of the transfers."""
    period: dict[str, Any] = {"begins_at": begins_at, "ends_at": ends_at}
    async with connection.transaction():
        # All of the file is of one moment.
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield camt_writer.head(f"MOCK-{ends_at:%Y%m%dT%H%M%S}", ends_at)
        sums = await (await connection.execute(_SUMS, period)).fetchall()
        for ordinal, row in enumerate(sums):
            yield camt_writer.opening(_statement(ordinal, row, begins_at, ends_at))
            async with connection.cursor(f"bookings_{ordinal}") as cursor:
                cursor.itersize = _ROWS_AT_ONCE
                await cursor.execute(_ENTRIES, period | {"currency": row["currency"]})
                async for booking in cursor:
                    yield camt_writer.entry([_entry(ordinal, booking)])
            yield camt_writer.closing()
        if not sums:
            # A file has a statement, also of an account without a booking.
            yield camt_writer.opening(_without_bookings(begins_at, ends_at))
            yield camt_writer.closing()
        yield camt_writer.tail()


def _without_bookings(begins_at: datetime, ends_at: datetime) -> Statement:
    return Statement(
        statement=0,
        id=f"EMPTY-{ends_at:%Y%m%dT%H%M%S}",
        account=ACCOUNT,
        complete=True,
        begins_at=begins_at,
        ends_at=ends_at,
        totals={},
    )


def _statement(ordinal: int, row: DictRow, begins_at: datetime, ends_at: datetime) -> Statement:
    currency = row["currency"]
    totals = Totals(opening_minor=row["opening_minor"], closing_minor=row["closing_minor"])
    return Statement(
        statement=ordinal,
        id=f"{currency}-{ends_at:%Y%m%dT%H%M%S}",
        account=f"{ACCOUNT}-{currency}",
        complete=True,
        begins_at=begins_at,
        ends_at=ends_at,
        totals={currency: totals},
    )


def _entry(ordinal: int, booking: DictRow) -> Entry:
    return Entry(
        statement=ordinal,
        number=0,
        status="booked",
        direction=booking["direction"],
        amount_minor=booking["amount_minor"],
        currency=booking["currency"],
        reversal=booking["reversal"],
        booked_on=booking["at"].astimezone(UTC).date(),
        reference=booking["reference"],
        end_to_end_id=end_to_end_id(booking["key"]),
    )
