"""Windows of spend at every border: midnight, clocks that change, the end of a month, a change of
the time zone in mid-window."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.agents import SetPolicy, policy_set
from ledger.aggregates.policy import Period, PolicyState, evolve
from ledger.aggregates.spend_periods import Stretch, stretch

BUENOS_AIRES, TOKYO, MADRID = "America/Argentina/Buenos_Aires", "Asia/Tokyo", "Europe/Madrid"
# The zones that are furthest apart, and some whose clocks change at midnight or that skipped a day.
ZONES = (
    *(BUENOS_AIRES, TOKYO, MADRID, "UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Pacific/Apia"),
    *("America/Havana", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe"),
)
PERIODS: tuple[Period, ...] = ("daily", "weekly", "monthly")
SHORTEST = {
    "daily": timedelta(hours=23),
    "weekly": timedelta(days=7, hours=-1),
    "monthly": timedelta(days=28, hours=-1),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def policy_in(zone: str, now: datetime, before: PolicyState | None = None) -> PolicyState:
    request = SetPolicy(
        agent_id="a",
        currency="ARS",
        max_per_transaction_minor=1,
        daily_limit_minor=1,
        approval_threshold_minor=1,
        time_zone=zone,
    )
    return evolve(before, policy_set(request, before, now))


@pytest.mark.parametrize(
    ("zone", "period", "now", "named", "ends"),
    [
        (BUENOS_AIRES, "daily", "2026-11-30T02:59:59Z", "2026-11-29", "2026-11-30T03:00Z"),
        (BUENOS_AIRES, "daily", "2026-11-30T03:00:00Z", "2026-11-30", "2026-12-01T03:00Z"),
        # The day on which clocks go forward has 23 hours, the one on which they go back 25.
        (MADRID, "daily", "2026-03-29T12:00Z", "2026-03-29", "2026-03-29T22:00Z"),
        (MADRID, "daily", "2026-10-25T12:00Z", "2026-10-25", "2026-10-25T23:00Z"),
        # Here the hour after midnight is skipped, and there it comes twice.
        ("America/Havana", "daily", "2026-03-08T05:00Z", "2026-03-08", "2026-03-09T04:00Z"),
        ("America/Havana", "daily", "2026-11-01T05:30Z", "2026-11-01", "2026-11-02T05:00Z"),
        (TOKYO, "weekly", "2026-11-29T14:59Z", "2026-11-23", "2026-11-29T15:00Z"),
        (TOKYO, "weekly", "2026-11-29T15:00Z", "2026-11-30", "2026-12-06T15:00Z"),
        ("UTC", "monthly", "2028-02-29T23:59Z", "2028-02-01", "2028-03-01T00:00Z"),
        ("UTC", "monthly", "2026-12-31T23:59Z", "2026-12-01", "2027-01-01T00:00Z"),
    ],
)
def test_a_window_is_named_by_its_first_day_and_ends_where_the_next_begins(
    zone: str, period: Period, now: str, named: str, ends: str
) -> None:
    found = stretch(policy_in(zone, at(now)), period, at(now))
    assert found == Stretch(date.fromisoformat(named), at(ends))


def test_a_life_has_one_window_that_never_ends() -> None:
    policy = policy_in(TOKYO, at("2026-11-30T00:00Z"))
    years = [at("2026-11-30T00:00Z"), at("2046-11-30T00:00Z")]
    assert {stretch(policy, "total", now) for now in years} == {Stretch(date(1970, 1, 1), None)}


def test_a_new_time_zone_in_mid_window_opens_no_second_budget() -> None:
    noon = at("2026-11-30T12:00Z")
    first = policy_in("UTC", noon)
    # There the next day has begun already.
    moved = policy_in("Pacific/Kiritimati", noon, first)
    assert stretch(moved, "daily", noon) == stretch(first, "daily", noon)
    # The window after it is as long as two days less ten hours: none is shorter than a day.
    assert stretch(moved, "daily", at("2026-12-01T00:00Z")) == Stretch(
        date(2026, 12, 2), at("2026-12-02T10:00Z")
    )
    assert stretch(moved, "daily", at("2026-12-02T10:00Z")) == Stretch(
        date(2026, 12, 3), at("2026-12-03T10:00Z")
    )


@given(
    begins=st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    changes=st.lists(
        st.tuples(st.timedeltas(timedelta(0), timedelta(days=9)), st.sampled_from(ZONES)),
        min_size=1,
        max_size=8,
    ),
    period=st.sampled_from(PERIODS),
)
def test_windows_never_overlap_however_often_the_time_zone_changes(
    begins: datetime, changes: Sequence[tuple[timedelta, str]], period: Period
) -> None:
    now, policy = begins, policy_in(changes[0][1], begins)
    seen = [stretch(policy, period, now)]
    for pause, zone in changes:
        until = now + pause
        while (end := seen[-1].ends_at) is not None and end <= until:
            after = stretch(policy, period, end)
            assert after.starts_on > seen[-1].starts_on
            assert after.ends_at is not None
            assert after.ends_at - end >= SHORTEST[period]
            seen.append(after)
            assert stretch(policy, period, after.ends_at - timedelta.resolution) == after
        now = until
        policy = policy_in(zone, now, policy)
        assert stretch(policy, period, now) == seen[-1]
