"""The log: what is wanted, page by page, in the one order that it has."""

import asyncio
from contextlib import aclosing
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import AsyncConnection

from ledger.aggregates.agent import agent_name
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read import cursors as reading
from ledger.read.global_order import START, Token, reaches
from ledger.read.log import LoggedEvent, Wanted, log, stream
from ledger.store.commit import Author
from tests.ledger.conftest import Clone
from tests.ledger.writing import BOT, open_payment, register, reserve, set_policy, take_step
from tests.support.commit_gate import commit_gate

_PARTS = st.integers(0, 10**18 - 1)


def place(event: LoggedEvent) -> Token:
    assert event.token is not None
    return Token.parse(event.token)


async def test_pages_joined_are_the_log_and_times_that_follow_one_another_share_no_event(
    ledger: Database,
) -> None:
    for _ in range(7):
        await register(ledger)
    for newest_first in (False, True):
        everything = await log(ledger, limit=100, newest_first=newest_first)
        paged: list[LoggedEvent] = []
        after = None
        while page := await log(ledger, limit=3, after=after, newest_first=newest_first):
            paged += page
            after = place(page[-1])
        assert paged == everything
        assert len(paged) == 7
    events = everything[::-1]
    borders: list[datetime | None] = [None, *(event.timestamp for event in events), None]
    tiles = [
        await log(ledger, Wanted(since=since, until=until), limit=9)
        for since, until in pairwise(borders)
    ]
    assert [event for tile in tiles for event in tile] == events


async def test_of_one_aggregate_or_of_one_saga(ledger: Database) -> None:
    await register(ledger)
    await register(ledger, "other-bot")
    await open_payment(ledger)
    author = Author("user:u-17", "payment/rent", "hold")
    await take_step(ledger, author=author)
    assert [event.aggregate for event in await log(ledger, Wanted(BOT), limit=9)] == [BOT]
    # Also what was written about it from outside: here, that it started.
    story = await log(ledger, Wanted(saga_id="payment/rent"), limit=9)
    assert [(event.aggregate, event.step) for event in story] == [
        ("saga/payment/rent", None),
        ("step/payment/rent/hold", "hold"),
    ]
    assert await log(ledger, Wanted("agent/nobody"), limit=9) == []
    assert await log(ledger, Wanted(saga_id="payment/none"), limit=9) == []


async def test_events_come_in_their_order_and_filters_hold_together(ledger: Database) -> None:
    await register(ledger)
    await set_policy(ledger)
    await reserve(ledger, "a-1", 10)
    await reserve(ledger, "a-2", 200_000)
    await register(ledger, "other-bot")
    events = await log(ledger, limit=99)
    last = events[-1].timestamp
    assert last is not None
    assert [(event.aggregate, event.version) for event in events[:4]] == [
        *((BOT, 1), ("policy/expense-bot", 1)),
        *(("authorization/a-1", 1), ("authorization/a-1", 2)),
    ]
    assert events[0].metadata == {"ip": "203.0.113.7"}
    assert await log(ledger, limit=99, newest_first=True) == events[::-1]
    cases = {
        Wanted(): 7,
        Wanted(user_id="user:u-17"): 7,
        Wanted(user_id="user:u-1"): 0,
        Wanted(aggregate_type="authorization"): 4,
        Wanted(aggregate_type="auth"): 0,
        Wanted(event_types=("AgentRegistered",)): 2,
        Wanted(event_types=("AgentRegistered", "PolicySet")): 3,
        Wanted(aggregate_type="authorization", event_types=("AuthorizationDenied",)): 1,
        Wanted("authorization/a-1", event_types=("AuthorizationDenied",)): 0,
        Wanted(since=events[0].timestamp): 7,
        Wanted(since=events[1].timestamp, until=events[-1].timestamp): 5,
        Wanted(until=events[0].timestamp): 0,
        Wanted(since=last + timedelta(microseconds=1)): 0,
    }
    found = {wanted: len(await log(ledger, wanted, limit=99)) for wanted in cases}
    assert found == cases


async def test_an_event_has_no_token_while_another_may_still_come_before_it(
    clone: Clone, ledger: Database
) -> None:
    await register(ledger)
    async with await AsyncConnection.connect(clone.worker) as older:
        await older.execute("SELECT pg_current_xact_id()")
        await register(ledger, "other-bot")
        for newest_first in (False, True):
            events = await log(ledger, limit=9, newest_first=newest_first)
            tokens = {event.aggregate: event.token for event in events}
            assert tokens[BOT] is not None
            assert tokens["agent/other-bot"] is None
    [_, final] = await log(ledger, limit=9)
    assert final.token is not None


async def test_an_event_that_is_seen_late_is_not_missed_by_paging(
    clone: Clone, ledger: Database
) -> None:
    """The gap of paging by position: 2 is committed and read before 1 can be seen."""
    slow_bot = agent_name("slow-bot")
    async with commit_gate(clone) as gate, asyncio.TaskGroup() as group:
        await gate.close(slow_bot)
        group.create_task(register(ledger, "slow-bot"))
        await gate.waited_at_by(1)
        await register(ledger, "quick-bot")
        [quick] = await log(ledger, limit=9)
        assert (quick.aggregate, quick.token) == ("agent/quick-bot", None)
        await gate.open(slow_bot)
    both = await log(ledger, limit=9)
    assert [event.aggregate for event in both] == [slow_bot, "agent/quick-bot"]
    assert [event.position for event in both] == [1, 2]
    assert await log(ledger, after=place(both[0]), limit=9) == both[1:]


async def test_a_stream_is_the_log_as_of_one_moment_and_left_early_gives_its_connection_back(
    ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "STRETCH", 2)
    for _ in range(5):
        await register(ledger)
    before = await log(ledger, limit=100)
    streamed = []
    async with aclosing(stream(ledger)) as events:
        async for event in events:
            streamed.append(event)
            await register(ledger, "while-it-streams")
    assert streamed == before
    assert len(await log(ledger, limit=100)) == 10
    for _ in range(40):
        async with aclosing(stream(ledger)) as events:
            assert (await anext(events)).aggregate == BOT


async def test_the_log_reaches_its_last_position_and_a_token_of_another_ledger_is_refused(
    ledger: Database,
) -> None:
    assert not await reaches(ledger, 1)
    await register(ledger)
    [event] = await log(ledger, limit=1)
    assert await reaches(ledger, event.position)
    assert not await reaches(ledger, event.position + 1)
    for unknown in (Token(1, 10**15, 1), Token(2, 0, 0)):
        with pytest.raises(StateRefused, match="has not seen"):
            await log(ledger, after=unknown, limit=9)
    assert len(await log(ledger, after=START, limit=9)) == 1


@given(parts=st.tuples(_PARTS, _PARTS, _PARTS))
def test_a_token_is_read_as_it_was_printed(parts: tuple[int, int, int]) -> None:
    assert Token.parse(str(Token(*parts))) == Token(*parts)


@pytest.mark.parametrize(
    "text", ["", "1", "1-2", "1-2-3-4", "1-2-x", "-1-2-3", "1-2-3\n", "\N{FULLWIDTH DIGIT ONE}-2-3"]
)
def test_another_text_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="is needed"):
        Token.parse(text)
