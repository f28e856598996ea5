"""What a calendar of a Temporal Schedule does in the nights in which clocks change. Pure functions.

Measured on Temporal Server 1.32: a wall-clock time that does not exist has no run; one that exists
twice runs once (Europe/Madrid) or twice (America/New_York), and marks around it may be skipped. So
the moments come from the server, and only the expectation is computed here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from temporalio.client import ScheduleCalendarSpec, ScheduleRange

# So far around a change of the clocks the server was seen to skip moments.
AROUND = timedelta(hours=4)
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
# A line that names more times is not read to its end.
_TOLD = 6
_EVERY_DAY_OF_MONTH, _EVERY_DAY_OF_WEEK = set(range(1, 32)), set(range(7))


def clock_changes(zone: ZoneInfo, start: datetime, until: datetime) -> list[datetime]:
    """The moments in UTC, to the minute, at which the clocks of a zone change."""
    found = []
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < until:
        after = hour + _HOUR
        if _offset(hour, zone) != _offset(after, zone):
            minutes = (hour + n * _MINUTE for n in range(1, 61))
            before = _offset(hour, zone)
            found.append(next(it for it in minutes if _offset(it, zone) != before))
        hour = after
    return found


def unites_days(calendars: Sequence[ScheduleCalendarSpec]) -> bool:
    """Whether a calendar restricts both the day of the month and the day of the week: a Schedule
    runs only on days that match both."""
    return any(
        _values(it.day_of_month) != _EVERY_DAY_OF_MONTH
        and _values(it.day_of_week) != _EVERY_DAY_OF_WEEK
        for it in calendars
    )


@dataclass(frozen=True)
class Night:
    """The wall-clock times of one change of the clocks, as `02:30`: without a run, with one run of
    two, and with two."""

    day: str
    none: tuple[str, ...]
    once: tuple[str, ...]
    twice: tuple[str, ...]

    def __str__(self) -> str:
        said = [
            f"no run at {_listed(self.none)}" if self.none else "",
            f"one run at {_listed(self.once)}, which exists twice" if self.once else "",
            f"two runs at {_listed(self.twice)}, which exists twice" if self.twice else "",
        ]
        return f"{self.day}, when clocks change: {'; '.join(filter(None, said))}"


def night(
    calendars: Sequence[ScheduleCalendarSpec],
    zone: ZoneInfo,
    change: datetime,
    runs: Sequence[datetime],
) -> Night | None:
    """What is unusual around a change of the clocks, given the server's `runs` in `AROUND` it; None
    where every time that matches a calendar exists once and runs."""
    walls: dict[str, set[datetime]] = {}
    for moment in _moments(change - AROUND, change + AROUND, calendars):
        wall = moment.astimezone(zone).replace(tzinfo=None)
        if _matches(wall, calendars):
            walls.setdefault(_wall(wall), set()).add(moment)
    # The hour that does not exist, by the clock of before.
    before = change + _offset(change - _MINUTE, zone)
    after = change + _offset(change, zone)
    walls |= {
        _wall(moment.replace(tzinfo=None)): set()
        for moment in _moments(before, after, calendars)
        if _matches(moment.replace(tzinfo=None), calendars)
    }
    ran = {moment.astimezone(UTC) for moment in runs}
    counts = {wall: (len(moments), len(moments & ran)) for wall, moments in walls.items()}
    none = tuple(sorted(wall for wall, (_, runs) in counts.items() if not runs))
    once = tuple(sorted(wall for wall, count in counts.items() if count == (2, 1)))
    twice = tuple(sorted(wall for wall, count in counts.items() if count == (2, 2)))
    if not (none or once or twice):
        return None
    return Night(f"{change.astimezone(zone):%Y-%m-%d}", none, once, twice)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _moments(
    start: datetime, until: datetime, calendars: Sequence[ScheduleCalendarSpec]
) -> Iterator[datetime]:
    """Every moment from `start` to before `until` with a second that a calendar names."""
    seconds = sorted({second for it in calendars for second in _values(it.second)})
    minute = start
    while minute < until:
        yield from (minute.replace(second=second) for second in seconds)
        minute += _MINUTE


def _matches(wall: datetime, calendars: Sequence[ScheduleCalendarSpec]) -> bool:
    return any(
        wall.second in _values(it.second)
        and wall.minute in _values(it.minute)
        and wall.hour in _values(it.hour)
        and wall.day in _values(it.day_of_month)
        and wall.month in _values(it.month)
        and wall.isoweekday() % 7 in _values(it.day_of_week)
        and (not it.year or wall.year in _values(it.year))
        for it in calendars
    )


def _values(ranges: Sequence[ScheduleRange]) -> set[int]:
    return {
        value for it in ranges for value in range(it.start, max(it.start, it.end) + 1, it.step or 1)
    }


def _wall(wall: datetime) -> str:
    return f"{wall:%H:%M:%S}" if wall.second else f"{wall:%H:%M}"


def _listed(walls: Sequence[str]) -> str:
    more = f" and {len(walls) - _TOLD} more" if len(walls) > _TOLD else ""
    return ", ".join(walls[:_TOLD]) + more
