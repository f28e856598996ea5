"""Finds the full name of what a person calls by a short one."""

from ledger.aggregates.names import NAMED, aggregate_id
from ledger.database import Database
from ledger.errors import Ambiguous, NotFound

# Among how many sagas the run of a schedule is looked for.
_NEWEST = 1_000
_PREFIXES = tuple(name for name in NAMED if name != "policy")


async def resolve_id(database: Database, text: str) -> str:
    """Finds the full name of the aggregate that a person calls `text`.

    An aggregate name (`agent/expense-bot`) means itself; else a name without its type (a workflow
    id, `dev/shop-db`), or a bare operation id, agent id, resource name, authorization or transfer
    id. Raises NotFound, and Ambiguous with the candidates.
    """
    full_names = [text, *(f"{aggregate_type}/{text}" for aggregate_type in _PREFIXES)]
    values = {"text": text, "ids": [aggregate_id(name) for name in full_names]}
    async with database.connection() as connection:
        cursor = await connection.execute(_candidates().encode(), values)
        found = sorted({row["aggregate"] for row in await cursor.fetchall()})
    if text in found:
        return text
    if not found:
        raise NotFound(f"no aggregate named {text!r} in the ledger")
    if len(found) > 1:
        raise Ambiguous(f"{text} may mean {', '.join(found)}: give the full name")
    return str(found[0])


def _candidates() -> str:
    selects = []
    for named in NAMED.values():
        called = f" OR {named.bare_name} = %(text)s" if named.bare_name else ""
        selects.append(
            f"SELECT aggregate FROM ledger.{named.table} WHERE aggregate_id = ANY(%(ids)s){called}"
        )
    return " UNION ALL ".join(selects)


async def newest_run(database: Database, schedule: str) -> str | None:
    """The workflow id of the newest saga that the schedule of this name started, among the newest
    of the ledger; None if there is none."""
    query = f"""
        SELECT workflow_id FROM
            (SELECT workflow_id, started_at FROM ledger.sagas ORDER BY started_at DESC
            LIMIT {_NEWEST}) AS newest
        WHERE starts_with(split_part(workflow_id, '/', 2), %(head)s)
            AND substr(split_part(workflow_id, '/', 2), length(%(head)s) + 1)
                ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:]+Z$'
        ORDER BY started_at DESC LIMIT 1"""
    async with database.connection() as connection:
        cursor = await connection.execute(query.encode(), {"head": f"{schedule}-"})
        row = await cursor.fetchone()
    return str(row["workflow_id"]) if row else None
