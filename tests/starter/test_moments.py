"""WHEN, as people write it."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starter.cli.moments import parse_when
from starter.client.errors import InvalidInput

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(seconds=st.integers(1, 10**9), zone=_ZONES)
def test_a_time_with_a_zone_is_that_instant(seconds: int, zone: timezone) -> None:
    moment = NOW + timedelta(seconds=seconds)
    text = moment.astimezone(zone).isoformat()
    assert parse_when(text, now=NOW) == moment
    assert parse_when(text, now=NOW).tzinfo is UTC


@given(days=st.integers(0, 300), hours=st.integers(0, 23), seconds=st.integers(1, 59))
def test_a_duration_counts_from_now(days: int, hours: int, seconds: int) -> None:
    later = timedelta(days=days, hours=hours, seconds=seconds)
    assert parse_when(f"P{days}DT{hours}H{seconds}S", now=NOW) == NOW + later


@given(text=st.text(max_size=30))
def test_any_text_is_a_moment_to_come_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        assert parse_when(text, now=NOW) > NOW


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-12-01T09:00:00", "the zone is missing"),
        ("2026-12-01", "the zone is missing"),
        ("2026-11-22T08:59:59Z", "in the past"),
        ("2026-11-22T12:00:00+03:00", "in the past"),
        ("PT0S", "more than 0"),
        ("P-1D", "duration"),
        ("-PT1S", "ISO 8601"),
        ("P2000D", "at most 366 days"),
        ("10s", "ISO 8601"),
        ("tomorrow", "ISO 8601"),
        ("2026-13-01T00:00:00Z", "ISO 8601"),
        ("9999-12-31T23:59:59-14:00", "ISO 8601"),
        ("", "ISO 8601"),
    ],
)
def test_what_is_no_moment_to_come_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_when(text, now=NOW)
