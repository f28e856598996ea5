"""The spend windows of a policy: when each begins and ends. Pure.

A window is named by the day on which it begins in the time zone of the policy, and never overlaps
another of its period. A new time zone opens no second budget: what has begun lasts until its own
end, and the next window lasts from there to the end of the first whole period that begins later. So
it is longer than a period, never shorter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from ledger.aggregates.policy import PERIODS, Period, PolicyState, RunningWindow
from ledger.aggregates.spend_window import FIRST_DAY


@dataclass(frozen=True)
class Stretch:
    """A window of a period: the day that names it, and its end in UTC; None for `total`."""

    starts_on: date
    ends_at: datetime | None


def stretch(policy: PolicyState, period: Period, now: datetime) -> Stretch:
    """The window of a period that contains `now`. Raises KeyError, ValueError or OSError where this
    machine does not know the time zone of the policy."""
    if period == "total":
        return Stretch(FIRST_DAY, None)
    zone, running = ZoneInfo(policy.time_zone), policy.terms.running.get(period)
    if running is not None and now < running.ends_at:
        return Stretch(running.starts_on, running.ends_at)
    first = _first(period, now.astimezone(zone).date())
    # Midnight may be passed twice, or not at all, when clocks change.
    if _midnight(first, zone) > now:
        first = _first(period, first - timedelta(days=1))
    elif _midnight(_next(period, first), zone) <= now:
        first = _next(period, first)
    if running is not None:
        whole = _first_whole(period, running, zone)
        first = max(first, whole)
    return Stretch(first, _midnight(_next(period, first), zone))


def running_windows(policy: PolicyState, now: datetime) -> dict[Period, RunningWindow]:
    """The windows of a policy that have begun, each until its end: what a change of its time zone
    leaves as it is. None of them where this machine does not know the zone."""
    try:
        return dict(_running(policy, now))
    except (KeyError, ValueError, OSError):
        return policy.terms.running


def _running(policy: PolicyState, now: datetime) -> Iterator[tuple[Period, RunningWindow]]:
    for period in PERIODS:
        found = stretch(policy, period, now)
        if found.ends_at is not None:
            yield period, RunningWindow(starts_on=found.starts_on, ends_at=found.ends_at)


def _first_whole(period: Period, running: RunningWindow, zone: ZoneInfo) -> date:
    """The first day of the first period that begins at the end of the running window or later, and
    has another name."""
    first = _first(period, running.starts_on)
    while first <= running.starts_on or _midnight(first, zone) < running.ends_at:
        first = _next(period, first)
    return first


def _first(period: Period, day: date) -> date:
    match period:
        case "weekly":
            return day - timedelta(days=day.weekday())
        case "monthly":
            return day.replace(day=1)
        case _:
            return day


def _next(period: Period, first: date) -> date:
    match period:
        case "weekly":
            return first + timedelta(days=7)
        case "monthly":
            return (first + timedelta(days=31)).replace(day=1)
        case _:
            return first + timedelta(days=1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
