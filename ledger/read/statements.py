"""Reads what was reconciled before, for the next statement of the same adapter; and the cases."""

from typing import Any

from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.columns import HEAD
from ledger.aggregates.statement import STATEMENT, StatementState, statement_name
from ledger.database import Database
from ledger.read.cursors import reading

_HEAD = frozenset(column.name for column in HEAD)
_STATEMENTS = "SELECT * FROM ledger.statements WHERE adapter = %(adapter)s ORDER BY head_at"
_ONE = "SELECT * FROM ledger.statements WHERE aggregate_id = %(aggregate_id)s"
_MISSING = """
    SELECT direction, transfer_id, recorded_currency FROM ledger.cases
    WHERE kind = 'here_not_there' AND statement_id LIKE %(of)s
"""
_CASES = """
    SELECT * FROM ledger.cases
    WHERE (NOT %(open_only)s OR state = 'open')
        AND (%(statement_id)s::text IS NULL OR statement_id = %(statement_id)s)
    ORDER BY head_at, aggregate LIMIT %(limit)s
"""
_OF = "SELECT kind, count(*) AS count FROM ledger.cases WHERE statement_id = %(id)s GROUP BY kind"


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


async def cases(
    database: Database, *, statement_id: str | None = None, open_only: bool = True, limit: int
) -> list[dict[str, Any]]:
    """The cases, or those of one statement, the longest open first, without the head of the row.
    Raises DatabaseUnavailable."""
    values = {"statement_id": statement_id, "open_only": open_only, "limit": limit}
    async with reading(database) as connection:
        rows = await (await connection.execute(_CASES.encode(), values)).fetchall()
    opened = [{"opened_at": row["head_at"], **row} for row in rows]
    return [{name: value for name, value in row.items() if name not in _HEAD} for row in opened]


async def case_counts(database: Database, statement_id: str) -> dict[str, int]:
    """How many cases of each kind a statement has."""
    async with reading(database) as connection:
        rows = await connection.execute(_OF.encode(), {"id": statement_id})
        return {row["kind"]: row["count"] for row in await rows.fetchall()}


def _state(row: dict[str, Any]) -> StatementState:
    state = STATEMENT.state_of(row)
    assert isinstance(state, StatementState)
    return state
