"""Parses WHEN: a moment in ISO 8601 with a zone, or a duration from now."""

from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from starter.client.errors import InvalidInput
from workflows.contract.fields import Duration

_DURATION: TypeAdapter[Duration] = TypeAdapter(Duration)


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
        return now.astimezone(UTC) + _DURATION.validate_python(text)
    except ValidationError:
        raise InvalidInput(
            field, "a duration such as PT10S, of more than 0 and at most 366 days, is needed"
        ) from None
    except OverflowError:
        raise InvalidInput(field, "lies beyond the year 9999") from None


def _instant(text: str, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            field, "an ISO 8601 time with a zone, or a duration such as PT10S, is needed"
        ) from None
    raise InvalidInput(field, "the zone is missing: end it with Z or an offset such as -03:00")
