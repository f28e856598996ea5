"""Reads what was reconciled before, for the next statement of the same adapter."""

from typing import Any

from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.statement import STATEMENT, StatementState, statement_name
from ledger.database import Database
from ledger.read.cursors import reading

_STATEMENTS = "SELECT * FROM ledger.statements WHERE adapter = %(adapter)s ORDER BY head_at"
_ONE = "SELECT * FROM ledger.statements WHERE aggregate_id = %(aggregate_id)s"
_MISSING = """
    SELECT direction, transfer_id, recorded_currency FROM ledger.cases
    WHERE kind = 'here_not_there' AND statement_id LIKE %(of)s
"""
_SEEN = """
    SELECT DISTINCT direction, transfer_id FROM ledger.cases
    WHERE kind = 'different' AND 'state' = ANY (string_to_array(detail, ', '))
        AND statement_id LIKE %(of)s
"""


async def statement_on_record(database: Database, statement_id: str) -> StatementState | None:
    """The statement, if it was reconciled. Raises DatabaseUnavailable, RowUnreadable."""
    found = aggregate_id(statement_name(statement_id))
    async with reading(database) as connection:
        rows = await connection.execute(_ONE.encode(), {"aggregate_id": found})
        row = await rows.fetchone()
    return _state(row) if row is not None else None


async def earlier_statements(
    database: Database, adapter: str
) -> tuple[list[StatementState], list[tuple[str, str, str]]]:
    """The statements of an adapter in the order in which they were reconciled; and of the cases of
    what is missing at the bank direction, transfer and currency."""
    async with reading(database) as connection:
        rows = await (
            await connection.execute(_STATEMENTS.encode(), {"adapter": adapter})
        ).fetchall()
        of = adapter.replace("_", r"\_") + "-%"
        missing = await (await connection.execute(_MISSING.encode(), {"of": of})).fetchall()
    named = [(row["direction"], row["transfer_id"], row["recorded_currency"]) for row in missing]
    return [_state(row) for row in rows], named


async def seen_in_doubt(database: Database, adapter: str) -> list[tuple[str, str]]:
    """Direction and transfer of the bookings that a statement had while by the ledger the money had
    not moved: what is resolved later is in no statement again. Raises DatabaseUnavailable."""
    async with reading(database) as connection:
        of = {"of": adapter.replace("_", r"\_") + "-%"}
        rows = await (await connection.execute(_SEEN.encode(), of)).fetchall()
    return [(row["direction"], row["transfer_id"]) for row in rows]


def _state(row: dict[str, Any]) -> StatementState:
    state = STATEMENT.state_of(row)
    assert isinstance(state, StatementState)
    return state
