"""Durations and times, as requests, commands and settings give them: one parser."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ledger.times import duration_text, parse_duration, parse_time
from workflows.contract.fields import Duration

_LENGTHS = st.timedeltas(timedelta(), timedelta(days=999_999))
_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=_ZONES)
_ANY_TEXT = st.one_of(
    st.text(max_size=20), st.from_regex(r"P[0-9WDTHMSY.,-]{0,12}", fullmatch=True)
)


@given(length=_LENGTHS)
def test_a_duration_reads_as_it_was_written(length: timedelta) -> None:
    assert parse_duration(duration_text(length)) == length


@given(
    parts=st.fixed_dictionaries(
        {}, optional={unit: st.integers(0, 99_999) for unit in ("W", "D", "H", "M", "S")}
    ).filter(bool)
)
def test_a_duration_is_the_sum_of_its_parts(parts: dict[str, int]) -> None:
    lengths = {"W": 604_800, "D": 86_400, "H": 3_600, "M": 60, "S": 1}
    date = "".join(f"{parts[unit]}{unit}" for unit in "WD" if unit in parts)
    time = "".join(f"{parts[unit]}{unit}" for unit in "HMS" if unit in parts)
    text = f"P{date}{'T' if time else ''}{time}"
    seconds = sum(lengths[unit] * count for unit, count in parts.items())
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(text=_ANY_TEXT)
def test_any_text_is_a_length_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_duration(text) >= timedelta()
        assert set(text) <= set("P0123456789WDTHMS.,")


@given(text=_ANY_TEXT)
def test_what_a_request_takes_as_a_duration_is_what_the_parser_takes(text: str) -> None:
    taken: object
    try:
        taken = parse_duration(text)
    except ValueError:
        taken = None
    try:
        assert TypeAdapter(Duration).validate_python(text) == taken
    except ValidationError:
        assert taken is None or not timedelta() < parse_duration(text) <= timedelta(days=366)


@given(length=st.timedeltas(timedelta(microseconds=1), timedelta(days=366)))
def test_a_request_reads_the_duration_that_a_client_of_ours_sends(length: timedelta) -> None:
    duration = TypeAdapter(Duration)
    assert duration.validate_json(duration.dump_json(length)) == length


@pytest.mark.parametrize("text", ["P2M", "P1Y", "P1.5M", "P1Y2M3DT4H", "P1M1D", "P0M"])
def test_years_and_months_have_no_length(text: str) -> None:
    with pytest.raises(ValueError, match="years and months have no fixed length"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT0.5H", timedelta(minutes=30)),
        ("P1.5D", timedelta(hours=36)),
        ("PT1,5S", timedelta(seconds=1.5)),
        ("PT0.000001S", timedelta(microseconds=1)),
        ("P1W1D", timedelta(days=8)),
        ("PT2M", timedelta(minutes=2)),
    ],
)
def test_a_fraction_is_exact(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["P", "PT", "P1DT", "PT1M1H", "PT0.5M1S", "-P1D", "P-1D", "1D"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as PT10M"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["PT0.0000001S", "PT1.123456789S", "PT0.00000001M"])
def test_a_duration_finer_than_a_microsecond_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="microsecond"):
        parse_duration(text)


@given(moment=_MOMENTS)
def test_a_time_is_that_instant(moment: datetime) -> None:
    found = parse_time(moment.isoformat())
    assert found == moment
    assert found.tzinfo is UTC
    assert parse_time(moment.astimezone(UTC).isoformat().replace("+00:00", "Z")) == moment


@given(text=st.one_of(st.text(max_size=40), st.from_regex(r"[0-9T:.Z+-]{0,40}", fullmatch=True)))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_time(text).tzinfo is UTC


@given(moment=_MOMENTS, more=st.integers(0, 999))
def test_a_time_with_nine_digits_is_cut_to_microseconds(moment: datetime, more: int) -> None:
    head = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26)
    assert parse_time(f"{head}{more:03}Z") == moment
    with pytest.raises(ValueError, match="at most nine digits"):
        parse_time(f"{head}{more:03}0Z")


@pytest.mark.parametrize("text", ["2026-12-01", "2026-12-01T09:00", "2026-12-01T09:00:00.5"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the zone is missing"):
        parse_time(text)
