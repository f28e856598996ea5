"""The one way to write: all of a commit happens, or nothing, and never beyond a limit."""

import asyncio

import psycopg
import pytest

from ledger.aggregates.agent import AgentRegistered, AgentRevoked
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import AuthorizationApproved, authorization_name
from ledger.aggregates.spend_window import SpendLimit
from ledger.database import Database
from ledger.errors import DatabaseUnavailable, TooMuchContention
from ledger.store import commit as write_path
from ledger.store.commit import Decision, Loaded, Ref, commit
from ledger.store.decision import NotLoaded
from tests.ledger.conftest import Clone
from tests.ledger.writing import (
    AUTHOR,
    BOT,
    LIMIT,
    register,
    release,
    requested,
    reserve,
    revoke,
    spend,
    window,
    write,
)


async def test_writes_the_row_and_its_event(clone: Clone, ledger: Database) -> None:
    await register(ledger)
    row = "SELECT aggregate, version, state FROM ledger.agents"
    assert await clone.fetch(row) == [(BOT, 1, "active")]
    written = await clone.fetch(
        "SELECT aggregate, version, event_type, user_id, payload, metadata FROM ledger.event_log"
    )
    payload = {"agent_id": "expense-bot", "user": "u-17"}
    expected = (BOT, 1, "AgentRegistered", "user:u-17", payload, {"ip": "203.0.113.7"})
    assert written == [expected]


async def test_events_stand_in_the_log_in_the_order_of_the_decision(
    clone: Clone, ledger: Database
) -> None:
    events: list[tuple[str, Event]] = [
        ("agent/zed", AgentRegistered(agent_id="zed", user="u")),
        ("agent/ana", AgentRegistered(agent_id="ana", user="u")),
        ("agent/zed", AgentRevoked()),
    ]
    refs = [Ref("agent/ana"), Ref("agent/zed")]
    await commit(ledger, AUTHOR, refs, lambda _: Decision(None, events))
    order = "SELECT aggregate, version FROM ledger.event_log ORDER BY position"
    assert await clone.fetch(order) == [("agent/zed", 1), ("agent/ana", 1), ("agent/zed", 2)]


async def test_writes_nothing_when_decide_raises_or_decides_on_no_event(
    clone: Clone, ledger: Database
) -> None:
    def decide(_: Loaded) -> Decision[None]:
        raise LookupError("no")

    with pytest.raises(LookupError):
        await commit(ledger, AUTHOR, [Ref(BOT)], decide)
    assert await commit(ledger, AUTHOR, [Ref(BOT)], lambda loaded: Decision(loaded[BOT])) is None
    assert await clone.fetch("SELECT FROM ledger.agents") == []
    assert await clone.fetch("SELECT FROM ledger.event_log") == []


async def test_writes_nothing_when_an_event_is_refused(clone: Clone, ledger: Database) -> None:
    await register(ledger)
    # The row of the first aggregate is already written when the second is refused.
    unfit = AgentRegistered(agent_id="zed", user="nul\0")
    events: list[tuple[str, Event]] = [(BOT, AgentRevoked()), ("agent/zed", unfit)]
    with pytest.raises(psycopg.DataError):
        await commit(ledger, AUTHOR, [Ref(n) for n, _ in events], lambda _: Decision(None, events))
    assert await clone.fetch("SELECT version, state FROM ledger.agents") == [(1, "active")]
    assert len(await clone.fetch("SELECT FROM ledger.event_log")) == 1


async def test_events_of_one_commit_share_the_time_of_the_row(
    clone: Clone, ledger: Database
) -> None:
    await register(ledger)
    await write(ledger, BOT, AgentRevoked(), AgentRegistered(agent_id="expense-bot", user="u-2"))
    rows = await clone.fetch(
        'SELECT e.version, e."timestamp" = a.head_at, a.base FROM ledger.event_log e '
        "JOIN ledger.agents a USING (aggregate_id) ORDER BY 1"
    )
    assert rows == [(1, False, 1), (2, True, 1), (3, True, 1)]


async def test_time_never_runs_back_for_an_aggregate(clone: Clone, database: Database) -> None:
    await register(database)
    # As after a clock that stepped back: the last event stands in the future.
    await clone.damage(
        "UPDATE ledger.agents SET head_at = head_at + interval '1 minute'",
        'UPDATE ledger.event_log SET "timestamp" = "timestamp" + interval \'1 minute\'',
    )
    await revoke(database)
    [(moments,)] = await clone.fetch('SELECT count(DISTINCT "timestamp") FROM ledger.event_log')
    assert moments == 1


async def test_a_row_locked_for_share_is_not_written_and_one_asked_for_both_ways_is(
    clone: Clone, ledger: Database
) -> None:
    await register(ledger)
    decision = Decision(None, [(BOT, AgentRevoked())])
    with pytest.raises(ValueError, match="for share"):
        await commit(ledger, AUTHOR, [Ref(BOT, "share")], lambda _: decision)
    await commit(ledger, AUTHOR, [Ref(BOT, "share"), Ref(BOT)], lambda _: decision)
    await commit(ledger, AUTHOR, [Ref(BOT), Ref(BOT, "share")], lambda _: decision)
    assert await clone.fetch("SELECT version FROM ledger.agents") == [(3,)]


async def test_a_deadlock_is_retried(clone: Clone, ledger: Database) -> None:
    await register(ledger, "a")
    await register(ledger, "b")
    async with await psycopg.AsyncConnection.connect(clone.superuser) as other:
        # So that the commit, and not this session, is the one that the server cancels.
        await other.execute("SET LOCAL deadlock_timeout = '1min'")
        await other.execute("SELECT FROM ledger.agents WHERE agent_id = 'b' FOR UPDATE")
        decision = Decision("done", [("agent/a", AgentRevoked()), ("agent/b", AgentRevoked())])
        refs = [Ref("agent/a"), Ref("agent/b")]
        work = asyncio.create_task(commit(ledger, AUTHOR, refs, lambda _: decision))
        await clone.until_waiting()
        await other.execute("SELECT FROM ledger.agents WHERE agent_id = 'a' FOR UPDATE")
        await other.rollback()
        assert await work == "done"
    assert await clone.fetch("SELECT version FROM ledger.agents") == [(2,), (2,)]


async def test_who_stands_still_between_load_and_write_keeps_no_lock(
    clone: Clone, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = write_path._LASTS_AT_MOST.replace("10s", "300ms")
    monkeypatch.setattr(write_path, "_LASTS_AT_MOST", soon)
    await register(ledger)
    tries, is_free = 0, False

    def stand_still(_: Loaded) -> Decision[None]:
        nonlocal tries, is_free
        tries += 1
        if tries == 1:
            raise NotLoaded
        with psycopg.connect(clone.superuser) as other:
            other.execute("SET LOCAL statement_timeout = '10s'")
            other.execute(_UNTIL_NOBODY_HOLDS)
        is_free = True
        return Decision(None, [(BOT, AgentRevoked())])

    with pytest.raises(DatabaseUnavailable):
        await commit(ledger, AUTHOR, [Ref(BOT)], stand_still)
    assert is_free
    assert await clone.fetch("SELECT state FROM ledger.agents") == [("active",)]


_UNTIL_NOBODY_HOLDS = """
    DO $$ BEGIN WHILE EXISTS (
        SELECT FROM pg_locks l JOIN pg_stat_activity USING (pid)
        WHERE datname = current_database() AND usename = 'amends_worker' AND mode = 'RowShareLock'
    ) LOOP PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP; END $$"""


WINDOWS = "SELECT amount_minor, count FROM ledger.spend_windows"


async def test_equal_to_the_limit_is_allowed_and_released_spend_can_be_spent_again(
    clone: Clone, ledger: Database
) -> None:
    assert await reserve(ledger, "a-1", LIMIT) == "approved"
    assert await reserve(ledger, "a-2", 1) == "denied"
    assert await clone.fetch(WINDOWS) == [(LIMIT, 1)]
    await release(ledger, "a-1", LIMIT)
    assert await clone.fetch(WINDOWS) == [(0, 0)]
    assert await reserve(ledger, "a-3", LIMIT) == "approved"


@pytest.mark.parametrize("already", [0, 60_000])
async def test_a_decision_that_forgot_to_look_can_t_pass_the_limit(
    clone: Clone, ledger: Database, monkeypatch: pytest.MonkeyPatch, already: int
) -> None:
    monkeypatch.setattr(write_path, "MAX_TRIES", 2)
    if already:
        await reserve(ledger, "a-1", already)
    before = await clone.fetch(WINDOWS)
    aggregate = authorization_name("a-2")
    amount = LIMIT - already + 1
    approved = AuthorizationApproved(automatic=True, spend=spend(amount), binding="b")
    events = [(aggregate, requested("a-2", amount)), (aggregate, approved)]
    decision = Decision(None, events, {window(): SpendLimit(amount_minor=LIMIT)})
    with pytest.raises(TooMuchContention):
        await commit(ledger, AUTHOR, [Ref(aggregate)], lambda _: decision)
    assert await clone.fetch(WINDOWS) == before
    row = f"SELECT FROM ledger.authorizations WHERE aggregate = '{aggregate}'"
    assert await clone.fetch(row) == []


async def test_spend_raced_by_many_never_passes_the_limit_and_given_back_at_once_ends_at_nothing(
    clone: Clone, ledger: Database
) -> None:
    async def there_and_back(number: int) -> None:
        if await reserve(ledger, f"b-{number}", 40_000) == "approved":
            await release(ledger, f"b-{number}", 40_000)

    await asyncio.gather(*(there_and_back(number) for number in range(16)))
    assert await clone.fetch(WINDOWS) == [(0, 0)]
    answers = await asyncio.gather(*(reserve(ledger, f"a-{n}", 30_000) for n in range(20)))
    assert sorted(answers) == ["approved"] * 3 + ["denied"] * 17
    assert await clone.fetch(WINDOWS) == [(90_000, 3)]
