"""Reads the policy of an agent, and what is spent of its limits."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg import DataError

from ledger.aggregates.columns import HEAD
from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.names import aggregate_id
from ledger.database import Database
from ledger.errors import NotFound
from ledger.read.cursors import reading
from ledger.unreadable import unreadable_in

_POLICY = "SELECT * FROM ledger.policies WHERE aggregate_id = %(aggregate_id)s"
# The day by the database's clock, which also dates what is reserved.
_SPENT = """
    SELECT today.starts_on, coalesce(windows.amount_minor, 0) AS amount_minor,
        coalesce(windows.count, 0) AS count
    FROM (SELECT (clock_timestamp() AT TIME ZONE %(time_zone)s)::date AS starts_on) AS today
    LEFT JOIN ledger.spend_windows AS windows ON windows.agent_id = %(agent_id)s
        AND windows.currency = %(currency)s AND windows.period = 'daily'
        AND windows.starts_on = today.starts_on"""


@dataclass(frozen=True)
class Window:
    """A spend window that has begun: `spent_minor` of `limit_minor` are reserved or spent, in
    `count` payments. Minor units of the policy's currency."""

    period: str
    starts_on: date
    limit_minor: int
    spent_minor: int
    count: int

    @property
    def left_minor(self) -> int:
        """What may still be spent: none where the limit was lowered below what is spent."""
        return max(0, self.limit_minor - self.spent_minor)


@dataclass(frozen=True)
class RecordedPolicy:
    """A policy as recorded; its `version` is the one that decisions name."""

    state: dict[str, Any]
    version: int
    windows: list[Window]


async def policy(database: Database, agent_id: str) -> RecordedPolicy:
    """The policy of an agent and its spend now, as of one moment. Raises NotFound, RowUnreadable,
    DatabaseUnavailable."""
    async with reading(database) as connection:
        values = {"aggregate_id": aggregate_id(f"policy/{agent_id}")}
        row = await (await connection.execute(_POLICY, values)).fetchone()
        if row is None:
            raise NotFound(f"no aggregate named 'policy/{agent_id}' in the ledger")
        head = {column.name for column in HEAD}
        state = {name: row[name] for name in row if name not in head}
        if wrong := unreadable_in(row):
            raise RowUnreadable(f"policy/{agent_id}", wrong)
        try:
            spent = await (await connection.execute(_SPENT, state)).fetchone()
        except DataError:
            raise RowUnreadable(f"policy/{agent_id}", ["time_zone"]) from None
        assert spent is not None
    window = Window(
        period="daily",
        starts_on=spent["starts_on"],
        limit_minor=state["daily_limit_minor"],
        spent_minor=spent["amount_minor"],
        count=spent["count"],
    )
    return RecordedPolicy(state, row["version"], [window])
