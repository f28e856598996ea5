"""Spend windows: what an agent reserved or spent in a stretch of time.

A projection: no aggregate of its own. Each change stands as `SpendChange` in the event that caused
it (`Event.spend`), is applied in the same commit, and `verify` sums them up again.
"""

from datetime import date

from ledger.aggregates.aggregate import State, Value
from ledger.aggregates.columns import Column, Columns

# The window of a whole life begins before every policy.
FIRST_DAY = date(1970, 1, 1)
# The period of the one window of a mandate, whose `agent_id` is the name `mandate/ID`.
MANDATE_PERIOD = "mandate"


class SpendLimit(Value, omit_defaults=True):
    """The limit of a spend window: minor units, and a count of payments; equal is allowed, None is
    no limit."""

    amount_minor: int | None = None
    count: int | None = None

    def tightened(self, other: "SpendLimit") -> "SpendLimit":
        """The limit that keeps both."""
        return SpendLimit(
            amount_minor=_least(self.amount_minor, other.amount_minor),
            count=_least(self.count, other.count),
        )


class SpendWindow(State):
    """A spend window: a `period` (`daily`, `weekly`, `monthly`, `total`) of an agent that begins on
    `starts_on` in the policy's time zone; or the whole life of a mandate."""

    agent_id: str
    currency: str
    period: str
    starts_on: date


class SpendChange(State):
    """The amount an event adds to a spend window (negative: releases). Minor units, and a count of
    payments."""

    window: SpendWindow
    amount_minor: int
    count: int

    def reversed(self) -> "SpendChange":
        """The change that takes this one back."""
        return SpendChange(window=self.window, amount_minor=-self.amount_minor, count=-self.count)

    def plus(self, other: "SpendChange") -> "SpendChange":
        """Adds another change of the same window."""
        total, count = self.amount_minor + other.amount_minor, self.count + other.count
        return SpendChange(window=self.window, amount_minor=total, count=count)


def _least(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


SPEND_WINDOWS = Columns(
    "spend_windows",
    (
        Column("agent_id", "text", nullable=False, primary_key=True),
        Column("currency", "text", nullable=False, primary_key=True),
        Column("period", "text", nullable=False, primary_key=True),
        Column("starts_on", "date", nullable=False, primary_key=True),
        Column("amount_minor", "bigint", nullable=False),
        Column("count", "integer", nullable=False),
    ),
)
