"""Which statement should have a booking: by the periods of this file and of those before it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from activities.statements.comparison import Due
from activities.statements.entry import Statement

Period = tuple[datetime, datetime]


@dataclass(frozen=True)
class Earlier:
    """What was reconciled before, of one currency: the periods, the names of the bookings that the
    last of them awaits, those that one had ahead of their time, with its end, and those that have a
    case as missing."""

    periods: Sequence[Period] = ()
    awaited: frozenset[str] = frozenset()
    ahead: Mapping[str, datetime] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Coverage:
    """The periods of a file by currency, and what was reconciled before it. A booking may come to a
    statement as late as `within` after its time."""

    periods: Mapping[str, Sequence[Period]]
    within: timedelta
    earlier: Mapping[str, Earlier] = field(default_factory=dict)
    # The names of bookings that a statement had while the transfer was in doubt.
    seen: frozenset[str] = frozenset()

    def due(self, name: str, currency: str, at: datetime) -> Due:
        """Whether the file should have the booking of this name, which moved the money at `at`.

        A file whose time was reconciled before, as of a week after its days, has it again.
        """
        if name in self.seen:
            return "outside"
        periods = self.periods.get(currency, ())
        earlier = self.earlier.get(currency, _NOTHING)
        is_awaited = name in earlier.awaited
        if not periods:
            return "awaited" if is_awaited else "outside"
        begin, end = periods[0][0], periods[-1][1]
        is_its_time = _covers(periods, at)
        if name in earlier.ahead and earlier.ahead[name] <= begin:
            return "settled"
        if not is_its_time and not is_awaited and _covers(earlier.periods, at):
            # What came later than it should is no second booking.
            return "outside" if name in earlier.missing else "settled"
        if at >= end:
            return "ahead"
        if is_its_time or is_awaited:
            return "due" if at < end - self.within else "awaited"
        return "outside"


_NOTHING = Earlier()


def _covers(periods: Iterable[Period], at: datetime) -> bool:
    return any(begins <= at < ends for begins, ends in periods)


def periods_of(statements: Iterable[Statement]) -> dict[str, list[Period]]:
    """The periods by currency of the statements that claim to have all of theirs."""
    found: dict[str, list[Period]] = {}
    for each in statements:
        if each.complete and each.begins_at is not None and each.ends_at is not None:
            for currency in each.totals:
                found.setdefault(currency, []).append((each.begins_at, each.ends_at))
    return {currency: joined(periods) for currency, periods in found.items()}


def joined(periods: Iterable[Period]) -> list[Period]:
    """The same time in as few periods as it takes."""
    found: list[Period] = []
    for begins, ends in sorted(periods):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(ends, found[-1][1]))
        else:
            found.append((begins, ends))
    return found
