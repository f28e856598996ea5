"""What a capture does to the windows of spend, at any time after the decision. Pure."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.agents import SetPolicy, policy_set
from activities.authorization_decisions import Approve, Authorize, approval, decide, released
from activities.capture_decisions import capture, part_returned, rest_released, settled
from ledger.aggregates.agent import AgentRegistered
from ledger.aggregates.aggregate import Event
from ledger.aggregates.names import aggregate_type_of
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.aggregates.transitions import objection
from ledger.errors import StateRefused
from ledger.store.decision import Head, Loaded, Ref
from tests.support.driver import CBU

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
LIMIT = 10_000


class Books:
    """An agent with a policy, its authorizations, and the windows of spend."""

    def __init__(self, threshold: int = 10_000, **terms: Any) -> None:
        self._threshold = threshold
        self._states: dict[str, Any] = {"agent/a": None, "policy/a": None}
        self._versions: dict[str, int] = {}
        self.windows: dict[SpendWindow, SpendChange] = {}
        self.write("agent/a", AgentRegistered(agent_id="a", user="user:u"))
        self.set_policy(NOON, "UTC", **terms)

    def set_policy(self, now: datetime, zone: str, **terms: Any) -> None:
        request = SetPolicy(
            agent_id="a",
            currency="ARS",
            max_per_transaction_minor=LIMIT,
            daily_limit_minor=LIMIT,
            approval_threshold_minor=self._threshold,
            time_zone=zone,
            terms=terms,
        )
        self.write("policy/a", policy_set(request, self._states["policy/a"], now))

    def write(self, name: str, event: Event) -> None:
        aggregate_type = aggregate_type_of(name)
        assert objection(aggregate_type.name, self._states.get(name), event) is None
        self._states[name] = aggregate_type.evolve(self._states.get(name), event)
        self._versions[name] = self._versions.get(name, 0) + 1
        for change in getattr(event, "spend", ()):
            before = self.windows.get(change.window)
            self.windows[change.window] = change if before is None else before.plus(change)

    def loaded(self, now: datetime, name: str) -> Loaded:
        heads = {
            each: Head(
                Ref(each),
                aggregate_type_of(each),
                self._states.get(each),
                self._versions.get(each, 0),
                None,
                "",
            )
            for each in (*self._states, name)
        }
        return Loaded(heads, now, self.windows)

    def ask(self, name: str, amount_minor: int, now: datetime) -> str:
        request = Authorize(
            agent_id="a",
            amount_minor=amount_minor,
            currency="ARS",
            destination=CBU,
            description="",
            approve_within=timedelta(days=1),
        )
        loaded = self.loaded(now, f"authorization/{name}")
        decision = decide(loaded, f"payment/{name}", name, request, manual=True)
        for aggregate, event in decision.events:
            self.write(aggregate, event)
        return str(decision.result["state"])

    def state(self, name: str) -> Any:
        return self._states[f"authorization/{name}"]

    def take(self, events: Iterable[tuple[str, Event]]) -> None:
        for name, event in events:
            if not name.startswith("saga/"):
                self.write(name, event)

    def approve(self, name: str, now: datetime, amount_minor: int | None) -> str | None:
        request = Approve(authorization_id=name, amount_minor=amount_minor)
        loaded, state = self.loaded(now, f"authorization/{name}"), self.state(name)
        decision = approval(loaded, state, request, "user:b", within=None, manual=True)
        self.take(decision.events)
        return decision.result.get("refused")

    def capture(self, name: str, now: datetime, minor: int | None = None, **more: Any) -> None:
        state, loaded = self.state(name), self.loaded(now, f"authorization/{name}")
        minor = state.left_minor if minor is None else minor
        self.take(capture(loaded, state, f"t-{len(state.parts)}", minor, **more).events)

    def release(self, name: str, saga: Any) -> None:
        aggregate = f"authorization/{name}"
        self.write(aggregate, released(self._states[aggregate], saga))

    def held(self) -> dict[tuple[str, str], int]:
        return {
            (window.period, str(window.starts_on)): change.amount_minor
            for window, change in self.windows.items()
            if change.amount_minor
        }


class Undone:
    cause, cause_reason = "cancelled", None


def test_a_capture_a_day_later_does_not_move_twice_the_limit_of_that_day() -> None:
    books, tomorrow = Books(), NOON + timedelta(days=1)
    assert books.ask("waits", LIMIT, NOON) == "approved"
    assert books.ask("next day", LIMIT, tomorrow) == "approved"
    with pytest.raises(StateRefused, match="version 1 says exceeded_daily_limit") as refused:
        books.capture("waits", tomorrow)
    assert refused.value.reason == "exceeded_daily_limit"
    # The day after, it is this payment that uses the limit up.
    after = tomorrow + timedelta(days=1)
    books.capture("waits", after)
    assert books.held() == {
        ("daily", "2026-12-01"): LIMIT,
        ("daily", "2026-12-02"): LIMIT,
        ("weekly", "2026-11-30"): 2 * LIMIT,
        ("monthly", "2026-12-01"): 2 * LIMIT,
        ("total", "1970-01-01"): 2 * LIMIT,
    }
    assert books.ask("too much", 1, after) == "denied"
    books.release("waits", Undone)
    assert books.held()[("daily", "2026-12-01")] == LIMIT
    assert ("daily", "2026-12-02") not in books.held()


@given(
    pauses=st.lists(st.timedeltas(timedelta(0), timedelta(days=40)), min_size=2, max_size=12),
    data=st.data(),
)
def test_windows_hold_what_is_reserved_or_moved_in_them_and_give_back_all_of_it(
    pauses: list[timedelta], data: st.DataObject
) -> None:
    books, now = Books(capture_within_s=40 * 86400), NOON
    open_: list[str] = []
    for number, pause in enumerate(pauses):
        now += pause
        if data.draw(st.booleans()):
            books.set_policy(now, data.draw(st.sampled_from(("UTC", "Asia/Tokyo"))))
        if books.ask(str(number), data.draw(st.integers(1, LIMIT)), now) == "approved":
            open_.append(str(number))
        if data.draw(st.booleans()) and open_:
            with suppress(StateRefused):
                books.capture(open_[0], now)
        assert all(
            amount <= LIMIT for (period, _), amount in books.held().items() if period == "daily"
        )
        totals = dict.fromkeys(("daily", "weekly", "monthly", "total"), 0)
        for (period, _), amount in books.held().items():
            totals[period] += amount
        assert len(set(totals.values())) == 1
        assert all(amount >= 0 for amount in books.held().values())
        if data.draw(st.booleans()) and open_:
            books.release(open_.pop(0), Undone)
    for name in open_:
        books.release(name, Undone)
    assert books.held() == {}


def test_the_parts_of_a_payment_count_in_the_windows_of_their_days() -> None:
    books, tomorrow = Books(), NOON + timedelta(days=1)
    books.ask("parts", 900, NOON)
    books.capture("parts", NOON, 200)
    books.take(settled(books.state("parts"), "r", NOON).events)
    assert books.held()[("daily", "2026-11-30")] == 900
    for outcome in ("returned", "settled"):
        books.capture("parts", tomorrow, 300)
        assert books.held()[("daily", "2026-11-30")] == 600
        assert books.held()[("daily", "2026-12-01")] == (300 if outcome == "returned" else LIMIT)
        with pytest.raises(StateRefused, match="capturing"):
            books.capture("parts", tomorrow, 1)
        if outcome == "returned":
            # It stays where it is, and needs no room when it is captured again.
            books.take(part_returned(books.state("parts"), "no", tomorrow))
            assert books.ask("beside", LIMIT - 300, tomorrow) == "approved"
    books.take(settled(books.state("parts"), "r", tomorrow).events)
    with pytest.raises(StateRefused, match="exceeded_daily_limit"):
        books.capture("parts", tomorrow, 1)
    with pytest.raises(StateRefused, match="400 minor units are left"):
        books.capture("parts", tomorrow + timedelta(days=1), 401)
    books.take(rest_released(books.state("parts"), "voided").events)
    assert books.state("parts").captured_minor == 500
    counts = {(each.period, str(each.starts_on)): it.count for each, it in books.windows.items()}
    assert books.held()[("daily", "2026-11-30")] == 200
    # The payment counts where its first part did, and that beside it counts for itself.
    assert (counts["daily", "2026-11-30"], counts["daily", "2026-12-01"]) == (1, 1)
    assert counts["total", "1970-01-01"] == 2


def test_a_smaller_amount_is_approved_and_binds_who_approves_next() -> None:
    approver = {"currency": None, "limit_minor": 500}
    named = [{"user": user, **approver} for user in ("user:a", "user:b")]
    books = Books(threshold=100, approvers=named)
    books.ask("dear", 900, NOON)
    before = books.state("dear").binding
    assert books.approve("dear", NOON, None) == "the amount is above the limit of user:b"
    assert books.approve("dear", NOON, 901) == "900 minor units are asked for, not more"
    assert books.approve("dear", NOON, 500) is None
    state = books.state("dear")
    assert (state.state, state.amount_minor, state.requested_minor) == ("approved", 500, 900)
    assert state.binding not in (before, None)
    assert set(books.held().values()) == {500}


@given(data=st.data(), pauses=st.lists(st.sampled_from((0, 1, 9, 33)), min_size=2, max_size=14))
def test_captures_in_parts_hold_in_all_periods_what_is_captured_or_may_be(
    pauses: list[int], data: st.DataObject
) -> None:
    books, now, names = Books(threshold=LIMIT // 2, capture_within_s=90 * 86400), NOON, list[str]()
    for number, pause in enumerate(pauses):
        now += timedelta(days=pause)
        if data.draw(st.booleans()):
            books.set_policy(now, data.draw(st.sampled_from(("UTC", "Asia/Tokyo"))))
        if books.ask(str(number), data.draw(st.integers(1, LIMIT)), now) != "denied":
            names.append(str(number))
        for name in names:
            _go_on(books, name, now, data)
        _check(books, names)
    for name in names:
        _end(books, name)
    _check(books, names)
    captured = sum(books.state(name).captured_minor for name in names)
    assert {*_totals(books).values()} <= {captured}


def _go_on(books: Books, name: str, now: datetime, data: st.DataObject) -> None:
    state = books.state(name)
    match state.state, data.draw(st.integers(0, 3)):
        case "pending_approval", verb if verb:
            smaller = st.none() | st.integers(1, state.amount_minor)
            books.approve(name, now, data.draw(smaller))
        case "approved", verb if verb:
            minor = data.draw(st.integers(1, state.left_minor))
            with suppress(StateRefused):
                books.capture(name, now, minor, final=data.draw(st.booleans()))
        case "capturing", 0:
            if state.captured_minor:
                books.take(part_returned(state, "no", now))
            else:
                books.release(name, Undone)
        case "capturing", _:
            books.take(settled(state, "r", now).events)
        case "approved" | "pending_approval", _:
            _end(books, name)
        case _:
            pass


def _end(books: Books, name: str) -> None:
    state = books.state(name)
    if state.state == "capturing" and state.captured_minor:
        books.take(part_returned(state, "no", NOON))
        state = books.state(name)
    if state.state == "approved" and state.captured_minor:
        books.take(rest_released(state, "voided").events)
    elif state.state in ("pending_approval", "approved", "capturing"):
        books.release(name, Undone)


def _totals(books: Books) -> dict[str, int]:
    totals = dict.fromkeys(("daily", "weekly", "monthly", "total"), 0)
    for (period, _), amount in books.held().items():
        totals[period] += amount
    return totals


def _check(books: Books, names: list[str]) -> None:
    states = [books.state(name) for name in names]
    for state in states:
        parts = [part.amount_minor for part in state.parts if part.state == "settled"]
        whole = state.state == "captured" and not state.parts
        assert state.captured_minor == (state.amount_minor if whole else sum(parts))
        assert state.captured_minor <= state.amount_minor <= state.requested_minor
    held: dict[SpendWindow, SpendChange] = {}
    for change in (each for state in states for each in state.reserved):
        before = held.get(change.window)
        held[change.window] = change if before is None else before.plus(change)
    nothing = {window for window, held in books.windows.items() if not held.amount_minor}
    assert held == {window: each for window, each in books.windows.items() if window not in nothing}
    assert all(books.windows[window].count == 0 for window in nothing)
    assert len({*_totals(books).values()}) == 1
    assert all(
        each.amount_minor > 0 and (each.window.period != "daily" or each.amount_minor <= LIMIT)
        for each in held.values()
    )
