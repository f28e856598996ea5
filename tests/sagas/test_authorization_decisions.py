"""What a capture does to the windows of spend, at any time after the decision. Pure."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.agents import SetPolicy, policy_set
from activities.authorization_decisions import Authorize, capture, decide, released
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

    def __init__(self, **terms: Any) -> None:
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
            approval_threshold_minor=LIMIT,
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

    def capture(self, name: str, now: datetime) -> None:
        aggregate = f"authorization/{name}"
        decision = capture(self.loaded(now, aggregate), self._states[aggregate], "t")
        for _, event in decision.events:
            self.write(aggregate, event)

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
