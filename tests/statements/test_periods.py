"""A booking is due in one statement: no border of a period makes it missing or booked twice."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.statement_files import earlier_by_currency
from activities.statements.comparison import Due
from activities.statements.periods import Coverage, Earlier, joined
from ledger.aggregates.statement import StatementState, StatementSum

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def day(number: int) -> tuple[datetime, datetime]:
    return MIDNIGHT + timedelta(days=number), MIDNIGHT + timedelta(days=number + 1)


BEFORE = Earlier(periods=[day(0)])


@pytest.mark.parametrize(
    ("hour", "earlier", "due"),
    [
        (24, None, "due"),
        (45, None, "due"),
        (46, None, "awaited"),
        (48, None, "ahead"),
        (23, None, "outside"),
        (23, BEFORE, "settled"),
        (23, Earlier(periods=[day(0)], awaited=frozenset({"T"})), "due"),
        (47, Earlier(periods=[day(0)], awaited=frozenset({"T"})), "awaited"),
        (24, Earlier(periods=[day(0)], ahead={"T": day(0)[1]}), "settled"),
        (24, Earlier(periods=[day(1)], ahead={"T": day(1)[1]}), "due"),
        (24, Earlier(periods=[day(0), day(1)]), "due"),
        (23, Earlier(periods=[day(0)], missing=frozenset({"T"})), "outside"),
        (-1, BEFORE, "outside"),
    ],
)
def test_a_booking_at_an_hour_is(hour: int, earlier: Earlier | None, due: Due) -> None:
    coverage = Coverage({"EUR": [day(1)]}, 2 * HOUR, {"EUR": earlier} if earlier else {})
    assert coverage.due("T", "EUR", MIDNIGHT + hour * HOUR) == due


def on_record(number: int, *awaited: str) -> StatementState:
    begins_at, ends_at = (at.isoformat() for at in day(number))
    recorded = StatementSum(
        statement=0,
        currency="EUR",
        complete=True,
        begins_at=begins_at,
        ends_at=ends_at,
        opening_minor=None,
        closing_minor=None,
        credits_minor=0,
        debits_minor=0,
        booked=0,
        pending=0,
        other=0,
    )
    return StatementState("s", "mock", "n", "s", 0, 0, [recorded], list(awaited), [])


@pytest.mark.parametrize(
    ("recorded", "awaited"),
    [
        ([on_record(0, "T"), on_record(1, "U")], {"U"}),
        # That of an earlier day came later: what it awaits is awaited still.
        ([on_record(0), on_record(2, "V"), on_record(1, "U")], {"U", "V"}),
        # The day was sent again, and has it now.
        ([on_record(0, "T"), on_record(0)], set()),
    ],
)
def test_what_is_awaited_is_that_of_the_latest_time_and_of_all_that_came_after_it(
    recorded: list[StatementState], awaited: set[str]
) -> None:
    assert earlier_by_currency(recorded, [], {"EUR": [day(3)]})["EUR"].awaited == awaited


def test_a_booking_that_came_late_is_no_second_one_in_the_same_file_again() -> None:
    recorded = [on_record(0, "T"), on_record(1)]
    again = {"EUR": [day(1)]}
    coverage = Coverage(again, 2 * HOUR, earlier_by_currency(recorded, [], again))
    assert coverage.due("T", "EUR", MIDNIGHT - HOUR) == "due"


def test_a_file_of_another_currency_has_nothing_due_and_goes_on_awaiting() -> None:
    earlier = {"EUR": Earlier(periods=[day(0)], awaited=frozenset({"T"}))}
    coverage = Coverage({"USD": [day(1)]}, 2 * HOUR, earlier)
    assert coverage.due("T", "EUR", MIDNIGHT) == "awaited"
    assert coverage.due("U", "EUR", MIDNIGHT + 30 * HOUR) == "outside"


@given(at=st.integers(0, 24 * 5 - 1), late=st.integers(0, 5), within=st.integers(5, 10))
def test_of_daily_statements_exactly_one_may_say_that_a_booking_is_missing(
    at: int, late: int, within: int
) -> None:
    """A booking that comes `late` hours after its time, less than `within`, is in the statement of
    its hour, and none says that it is missing or there twice."""
    earlier = Earlier()
    moved_at, booked_at = MIDNIGHT + at * HOUR, MIDNIGHT + (at + late) * HOUR
    for number in range(7):
        begins, ends = day(number)
        coverage = Coverage({"EUR": [(begins, ends)]}, within * HOUR, {"EUR": earlier})
        due = coverage.due("T", "EUR", moved_at)
        is_there = begins <= booked_at < ends
        assert not (is_there and due == "settled")
        assert is_there or due != "due"
        awaited = not is_there and due == "awaited"
        earlier = Earlier(
            periods=[*earlier.periods, (begins, ends)],
            awaited=frozenset({"T"} if awaited else ()),
            ahead={**earlier.ahead, **({"T": ends} if is_there and due == "ahead" else {})},
        )


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), max_size=6))
def test_joined_periods_cover_the_same_time(spans: list[tuple[int, int]]) -> None:
    periods = [(MIDNIGHT + a * HOUR, MIDNIGHT + (a + b) * HOUR) for a, b in spans]
    for hour in range(26):
        at = MIDNIGHT + hour * HOUR
        before, after = ([a <= at < b for a, b in each] for each in (periods, joined(periods)))
        assert any(before) == any(after)
        assert sum(after) <= 1
