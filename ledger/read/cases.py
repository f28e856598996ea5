"""Reads the cases: differences between a bank's statement and our record."""

from typing import Any

from ledger.aggregates.columns import HEAD
from ledger.database import Database
from ledger.read.cursors import reading

_HEAD = frozenset(column.name for column in HEAD)
_CASES = """
    SELECT * FROM ledger.cases
    WHERE (NOT %(open_only)s OR state = 'open')
        AND (%(statement_id)s::text IS NULL OR statement_id = %(statement_id)s)
    ORDER BY head_at, aggregate LIMIT %(limit)s
"""
_OF = "SELECT kind, count(*) AS count FROM ledger.cases WHERE statement_id = %(id)s GROUP BY kind"


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
