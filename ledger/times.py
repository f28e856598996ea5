"""Parses durations and times of ISO 8601: the one parser of requests, commands and settings.

Both are exact to the microsecond, as PostgreSQL and Python count; what is finer is refused, since a
moment that was cut lies before the one that was meant. Years and months are refused where a length
is needed: they have none.
"""

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(
    r"P(?:(?P<weeks>\d{1,9}(?:[.,]\d+)?)W)?(?:(?P<days>\d{1,9}(?:[.,]\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d{1,9}(?:[.,]\d+)?)H)?(?:(?P<minutes>\d{1,9}(?:[.,]\d+)?)M)?"
    r"(?:(?P<seconds>\d{1,9}(?:[.,]\d+)?)S)?)?",
    re.ASCII,
)
_CALENDAR = re.compile(r"P[^T]*[YM]", re.ASCII)
_UNITS_US = {
    "weeks": 604_800_000_000,
    "days": 86_400_000_000,
    "hours": 3_600_000_000,
    "minutes": 60_000_000,
    "seconds": 1_000_000,
}
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,](?P<fraction>\d+))?)?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_DURATION_NEEDED = "an ISO 8601 duration such as PT10M or P1D is needed"
TIME_NEEDED = "an ISO 8601 time with a zone is needed, such as 2026-12-01T09:00-03:00"


def parse_duration(text: str) -> timedelta:
    """The length of a duration such as `PT10M`, `P1DT12H` or `P2W`; a fraction is allowed in its
    last part. Raises ValueError, without the text."""
    if _CALENDAR.match(text):
        raise ValueError("years and months have no fixed length: give weeks, days or hours")
    found = _DURATION.fullmatch(text)
    if found is None or text.endswith("T"):
        raise ValueError(_DURATION_NEEDED)
    parts = [(unit, part) for unit, part in found.groupdict().items() if part]
    if not parts or not all(part.isdigit() for _, part in parts[:-1]):
        raise ValueError(_DURATION_NEEDED)
    try:
        return timedelta(microseconds=sum(_microseconds(unit, part) for unit, part in parts))
    except OverflowError:
        raise ValueError("the duration is too long") from None


def _microseconds(unit: str, part: str) -> int:
    whole, _, fraction = part.replace(",", ".").partition(".")
    length = _UNITS_US[unit]
    below, rest = divmod(int(fraction or "0") * length, 10 ** len(fraction))
    if rest:
        raise ValueError("a duration is at most as fine as a microsecond")
    return int(whole) * length + int(below)


def duration_text(length: timedelta) -> str:
    """A duration of zero or more in ISO 8601, in days and less: `P60D`, `P1DT12H`, `PT0.5S`.
    `parse_duration` reads it."""
    days, seconds = length.days, length.seconds
    hours, minutes = seconds // 3600, seconds // 60 % 60
    fraction = f".{length.microseconds:06}".rstrip("0") if length.microseconds else ""
    rest = f"{seconds % 60}{fraction}"
    time = "".join(
        f"{value}{unit}"
        for value, unit in ((hours, "H"), (minutes, "M"), (rest if rest != "0" else 0, "S"))
        if value
    )
    date = f"{days}D" if days or not time else ""
    return f"P{date}{'T' if time else ''}{time}"


def parse_time(text: str) -> datetime:
    """The moment, in UTC, of a time with a zone: `2026-12-01T09:00-03:00`, `2026-12-01T12:00:00Z`.
    Times count microseconds: what is finer, as Temporal prints it, is cut off. Raises ValueError,
    without the text."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(TIME_NEEDED)
    if not found["zone"]:
        raise ValueError("the zone is missing: end it with Z or an offset such as -03:00")
    if len(found["fraction"] or "") > 9:
        raise ValueError("at most nine digits after the seconds are allowed")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(TIME_NEEDED) from None
