"""Parses WHEN: a moment in ISO 8601 with a zone, or a duration from now."""

from datetime import UTC, datetime, timedelta

from ledger.times import TIME_NEEDED, parse_duration, parse_time
from starter.client.errors import InvalidInput

_LONGEST = timedelta(days=366)


def parse_when(text: str, *, now: datetime, field: str = "--at") -> datetime:
    """The moment in UTC: `2026-12-01T09:00:00-03:00`, `2026-12-01T12:00Z`, or `PT10S` after `now`.

    Raises InvalidInput for another form, a time without a zone, and one that is not after `now`.
    """
    moment = _after(text, now, field) if text.startswith("P") else _instant(text, field)
    if moment <= now:
        raise InvalidInput(field, "lies in the past")
    return moment


def parse_past(text: str, *, now: datetime, field: str) -> datetime:
    """The moment in UTC: a time as in `parse_when`, whether past or not, or `PT1H` before `now`.

    Raises InvalidInput for another form, and for a time without a zone.
    """
    return now - (_after(text, now, field) - now) if text.startswith("P") else _instant(text, field)


def _after(text: str, now: datetime, field: str) -> datetime:
    try:
        length = parse_duration(text)
        if not timedelta(0) < length <= _LONGEST:
            raise ValueError("a duration of more than 0 and at most 366 days is needed")
        return now.astimezone(UTC) + length
    except ValueError as error:
        raise InvalidInput(field, str(error)) from None
    except OverflowError:
        raise InvalidInput(field, "lies beyond the year 9999") from None


def _instant(text: str, field: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        or_length = ", or a duration such as PT10S" if str(error) == TIME_NEEDED else ""
        raise InvalidInput(field, f"{error}{or_length}") from None
