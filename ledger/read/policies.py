"""Reads the policy of an agent, and what is spent of its limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ledger.aggregates.columns import HEAD
from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.names import aggregate_id
from ledger.aggregates.policy import PERIODS, POLICY, PolicyState
from ledger.aggregates.spend_periods import stretch
from ledger.database import Database
from ledger.errors import NotFound
from ledger.read.cursors import Row, reading
from ledger.unreadable import unreadable_in

_POLICY = "SELECT * FROM ledger.policies WHERE aggregate_id = %(aggregate_id)s"
# By the database's clock, which also dates what is reserved.
_SPENT = """
    SELECT period, currency, starts_on, amount_minor, count FROM ledger.spend_windows
    WHERE agent_id = %(agent_id)s"""


@dataclass(frozen=True)
class Window:
    """A spend window that has begun: `spent_minor` of `limit_minor` are reserved or spent, in
    `count` of `count_limit` payments. Minor units of `currency`; a limit of None is none. It ends
    at `ends_at`, None for never."""

    period: str
    currency: str
    starts_on: date
    ends_at: datetime | None
    limit_minor: int | None
    spent_minor: int
    count_limit: int | None
    count: int

    @property
    def left_minor(self) -> int | None:
        """What may still be spent: none where the limit was lowered below what is spent; None
        where there is no limit."""
        return None if self.limit_minor is None else max(0, self.limit_minor - self.spent_minor)


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
        found = POLICY.state_of(row)
        assert isinstance(found, PolicyState)
        clock = await (await connection.execute(b"SELECT clock_timestamp() AS now")).fetchone()
        assert clock is not None
        spent = await (await connection.execute(_SPENT.encode(), state)).fetchall()
    return RecordedPolicy(state, row["version"], _windows(found, spent, clock["now"]))


def _windows(policy: PolicyState, spent: Sequence[Row], now: datetime) -> list[Window]:
    """The windows of now that have a limit."""
    known = {(row["period"], row["currency"], row["starts_on"]): row for row in spent}
    windows: list[Window] = []
    for currency in (policy.currency, *policy.terms.further):
        limits = policy.limits(currency)
        assert limits is not None
        for period in PERIODS:
            if (limit := limits.windows.get(period)) is None:
                continue
            try:
                now_in = stretch(policy, period, now)
            except (KeyError, ValueError, OSError):
                raise RowUnreadable(f"policy/{policy.agent_id}", ["time_zone"]) from None
            row = known.get((period, currency, now_in.starts_on), {"amount_minor": 0, "count": 0})
            windows.append(
                Window(
                    period=period,
                    currency=currency,
                    starts_on=now_in.starts_on,
                    ends_at=now_in.ends_at,
                    limit_minor=limit.amount_minor,
                    spent_minor=row["amount_minor"],
                    count_limit=limit.count,
                    count=row["count"],
                )
            )
    return windows
