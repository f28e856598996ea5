"""Lists of state rows for people, newest first, each by an index.

Rows are read as they were recorded, without the models: whatever is admitted today, a list shows
what was written. They hold the fields of the state, and not the head of the row; of what can't be
read, see `ledger.read.rows.shown`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.aggregates.columns import HEAD
from ledger.aggregates.names import aggregate_id
from ledger.database import Connection, Database
from ledger.errors import NotThere
from ledger.read.cursors import reading
from ledger.read.rows import shown
from ledger.read.waits import Waiting, waits_among

_HEAD = frozenset(column.name for column in HEAD)
# So much of an account number is shown outside of the payloads: enough to tell accounts apart.
_SHOWN, _CUT = 4, "…"
_REFUNDED = """(
    SELECT coalesce(sum(amount_minor), 0)::bigint FROM ledger.refunds AS refund
    WHERE refund.authorization_id = payment.authorization_id AND refund.state = 'executed'
) AS refunded_minor"""


@dataclass(frozen=True)
class Listed:
    """The first rows of a list; `more` says whether it goes on."""

    rows: list[dict[str, Any]]
    more: bool


@dataclass(frozen=True)
class ListedSagas(Listed):
    """Sagas, and by workflow id what waits in each."""

    waits: dict[str, list[Waiting]]


@dataclass(frozen=True)
class PaymentQuery:
    """A filter of payments: of an agent, in a state, asked for in `since` <= time < `until`, to a
    `destination`: an account number, or its last four or more characters; under a `mandate` or one
    below it.

    Raises ValueError for less of an account number.
    """

    agent_id: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    destination: str | None = None
    mandate: str | None = None

    def __post_init__(self) -> None:
        if self.destination is None:
            return
        account = self.destination.replace(" ", "").removeprefix(_CUT).upper()
        if len(account) < _SHOWN:
            raise ValueError(f"the last {_SHOWN} characters of an account number are needed")
        object.__setattr__(self, "destination", account)


async def sagas(database: Database, *, open_only: bool = False, limit: int) -> ListedSagas:
    """The newest `limit` sagas, or those of them that have not ended, and what waits in each, as of
    one moment. Raises DatabaseUnavailable."""
    only = " WHERE ended_at IS NULL" if open_only else ""
    query = f"SELECT * FROM ledger.sagas{only} ORDER BY started_at DESC, aggregate"
    async with reading(database) as connection:
        rows, more = await _first(connection, query, {}, limit)
        waits = await waits_among(database, connection, rows)
    return ListedSagas(_states(database, rows), more, waits)


async def payments(
    database: Database, query: PaymentQuery, *, limit: int, after: str | None = None
) -> Listed:
    """The newest `limit` payments that were asked for, whatever their outcome; `after` a payment,
    named by its `authorization_id`, the next ones: pages that no new payment shifts.

    Of the destination, a row has the last characters; `refunded_minor` is what went back of it.
    Raises NotThere, DatabaseUnavailable.
    """
    async with database.connection() as connection:
        values = vars(query) | (await _place(connection, after) if after else {})
        statement = payments_query(query, after=after is not None)
        rows, more = await _first(connection, statement, values, limit)
    listed = _states(database, rows)
    return Listed([{**row, "destination": _ending(row["destination"])} for row in listed], more)


async def _place(connection: Connection, authorization_id: str) -> dict[str, Any]:
    # As text: of a damaged row, no driver reads the time.
    query = """SELECT requested_at::text, aggregate_id FROM ledger.authorizations
        WHERE aggregate_id = %s"""
    cursor = await connection.execute(query, [aggregate_id(f"authorization/{authorization_id}")])
    if (row := await cursor.fetchone()) is None:
        raise NotThere("--after: no payment has this authorization_id: copy it from a list")
    return row


def _ending(account: str | None) -> str | None:
    return None if account is None else f"{_CUT}{account[-_SHOWN:]}"


def payments_query(query: PaymentQuery, *, after: bool = False) -> str:
    """The query for payments, newest first; its values are the fields of the filter that are set,
    and with `after` those of a place."""
    conditions = {
        "agent_id": "agent_id = %(agent_id)s",
        "state": "state = %(state)s",
        "since": "requested_at >= %(since)s",
        "until": "requested_at < %(until)s",
        "destination": f"right(destination, {_SHOWN}) = right(%(destination)s::text, {_SHOWN}) AND "
        "right(destination, length(%(destination)s::text)) = %(destination)s",
        "mandate": "mandates <> '[]' AND mandates @> jsonb_build_array(%(mandate)s::text)",
    }
    found = [text for name, text in conditions.items() if getattr(query, name) is not None]
    if after:
        found.append(
            "(requested_at, aggregate_id) < (%(requested_at)s::timestamptz, %(aggregate_id)s)"
        )
    where = f" WHERE {' AND '.join(found)}" if found else ""
    return (
        f"SELECT *, {_REFUNDED} FROM ledger.authorizations AS payment{where} "
        "ORDER BY requested_at DESC, aggregate_id DESC"
    )


async def present_resources(
    database: Database, environment: str, *, kind: str | None = None, limit: int
) -> Listed:
    """The present resources of an environment, by kind and name. Raises DatabaseUnavailable."""
    values = {"environment": environment, "kind": kind}
    async with database.connection() as connection:
        rows, more = await _first(connection, resources_query(kind), values, limit)
    return Listed(_states(database, rows), more)


def resources_query(kind: str | None) -> str:
    """The query for the present resources of `environment`, and of `kind` if there is one."""
    only = "" if kind is None else " AND kind = %(kind)s"
    where = f"environment = %(environment)s AND state = 'present'{only}"
    return f"SELECT * FROM ledger.resources WHERE {where} ORDER BY kind, name"


async def environments(database: Database) -> list[str]:
    """The environments in which there ever was a resource. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        query = "SELECT DISTINCT environment FROM ledger.resources ORDER BY environment"
        cursor = await connection.execute(query)
        return [row["environment"] for row in await cursor.fetchall()]


async def agents(database: Database) -> list[dict[str, Any]]:
    """All agents, by name. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT * FROM ledger.agents ORDER BY agent_id")
        return _states(database, await cursor.fetchall())


async def keys(database: Database, holder: str | None = None) -> list[dict[str, Any]]:
    """All keys, or those of a holder, the oldest first. Raises DatabaseUnavailable."""
    where = "" if holder is None else "WHERE holder = %(holder)s"
    query = f"SELECT * FROM ledger.keys {where} ORDER BY holder, valid_from, key_id"
    async with database.connection() as connection:
        cursor = await connection.execute(query.encode(), {"holder": holder})
        return _states(database, await cursor.fetchall())


async def mandates(database: Database, agent_id: str | None = None) -> list[dict[str, Any]]:
    """All mandates, or those of an agent, each after those above it, with what is spent or reserved
    under it: `spent_minor` in `payments`; `revoked_above`: whether one above it is revoked. Raises
    DatabaseUnavailable."""
    where = "" if agent_id is None else "WHERE held.agent_id = %(agent_id)s"
    query = f"""
        SELECT held.*, coalesce(spent.amount_minor, 0) AS spent_minor,
            coalesce(spent.count, 0) AS payments,
            EXISTS (SELECT FROM ledger.mandates above
                WHERE above.state = 'revoked' AND held.chain ? above.mandate_id) AS revoked_above
        FROM ledger.mandates held
        LEFT JOIN ledger.spend_windows spent ON spent.agent_id = held.aggregate
        {where}
        ORDER BY translate((held.chain || to_jsonb(held.mandate_id))::text, '",[]', '') COLLATE "C"
    """
    async with database.connection() as connection:
        cursor = await connection.execute(query.encode(), {"agent_id": agent_id})
        return _states(database, await cursor.fetchall())


async def kinds(database: Database) -> list[str]:
    """The kinds of which there ever was a resource. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT DISTINCT kind FROM ledger.resources ORDER BY kind"
        )
        return [row["kind"] for row in await cursor.fetchall()]


async def has_asked(database: Database, agent_id: str) -> bool:
    """Whether there is a payment of this agent, known or not. Raises DatabaseUnavailable."""
    query = "SELECT FROM ledger.authorizations WHERE agent_id = %(agent_id)s LIMIT 1"
    async with database.connection() as connection:
        cursor = await connection.execute(query, {"agent_id": agent_id})
        return bool(await cursor.fetchall())


async def _first(
    connection: Connection, query: str, values: dict[str, Any], limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """The first rows of a query, and whether it has more."""
    cursor = await connection.execute(
        f"{query} LIMIT %(limit)s".encode(), {**values, "limit": limit + 1}
    )
    rows = await cursor.fetchall()
    return rows[:limit], len(rows) > limit


def _states(database: Database, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    told = [shown(database, row) for row in rows]
    return [{name: row[name] for name in row if name not in _HEAD} for row in told]
