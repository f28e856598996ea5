"""An answer for the past never changes: not by who is late or slow, and not by the clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import AsyncConnection

from ledger.database import Database, open_database
from ledger.errors import ClockSetBack, DatabaseUnavailable, NotFound, StateRefused, StillOpen
from ledger.read import point_in_time
from ledger.read.point_in_time import Point, wait_until_past
from ledger.read.show import Shown, show
from tests.ledger.conftest import Clone
from tests.ledger.rules.world import event, row
from tests.ledger.writing import BOT, register, revoke, sqlstate
from tests.support.tcp_gate import tcp_gate

LATE = "CREATE OR REPLACE FUNCTION ledger.late_after() RETURNS interval LANGUAGE sql IMMUTABLE "
# A deadline for what is broken; what works takes no time.
PATIENCE_S = 30.0
BEGIN_OF_MONTH = "date_trunc('month', now(), 'UTC')"


async def commits_are_late_after(clone: Clone, interval: str) -> None:
    """Time passes as slowly or as fast as the test needs."""
    await clone.execute(clone.owner, f"{LATE} RETURN interval '{interval}'")


async def now(clone: Clone) -> datetime:
    [(moment,)] = await clone.fetch("SELECT clock_timestamp()")
    assert isinstance(moment, datetime)
    return moment


async def version(database: Database, at: Point) -> int:
    return (await show(database, BOT, at, patience_s=PATIENCE_S)).version


@asynccontextmanager
async def transaction(clone: Clone, *statements: str) -> AsyncIterator[AsyncConnection]:
    """An open transaction of the worker that has carried out the statements."""
    url = f"{clone.worker}&application_name=month-end"
    async with await AsyncConnection.connect(url) as connection:
        await carry_out(connection, *statements)
        yield connection
        await connection.rollback()


async def carry_out(connection: AsyncConnection, *statements: str) -> None:
    for statement in statements:
        await connection.execute(statement.encode())


# Version 2 of the agent, at the time at which the transaction began; its rules are checked.
WRITE = (row(), event(), "SET CONSTRAINTS ALL IMMEDIATE")


async def test_a_server_that_hangs_is_waited_for_no_longer_than_was_asked(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point_in_time, "_ANSWERS_WITHIN_S", 0)
    await register(database)
    moment = await now(clone)
    async with tcp_gate(clone.auditor) as gate, open_database(gate.url, size=1) as reader:
        explained = asyncio.Event()

        def stick(_: str) -> None:
            gate.stick()
            explained.set()

        # The past closes in 5 s, which is said at once; meanwhile the server hangs.
        with pytest.raises(DatabaseUnavailable, match="no answer within 6 s"):
            await wait_until_past(reader, Point(moment=moment), patience_s=6, explain=stick)
        assert explained.is_set()


@pytest.fixture
async def held(clone: Clone, database: Database) -> Clone:
    """An agent at version 1, in a ledger whose past closes at once."""
    await register(database)
    return clone


async def present(clone: Clone) -> Point:
    """The present moment, in a ledger whose past closes at once from now on."""
    moment = Point(moment=await now(clone))
    await commits_are_late_after(clone, "0")
    return moment


async def ask(database: Database, at: Point) -> tuple[asyncio.Task[Shown], str]:
    """A question that has to wait, and whom for."""
    told: asyncio.Queue[str] = asyncio.Queue()
    answer = show(database, BOT, at, patience_s=PATIENCE_S, explain=told.put_nowait)
    asked = asyncio.create_task(answer)
    async with asyncio.timeout(PATIENCE_S):
        return asked, await told.get()


class TestATransactionHeldOpenAcrossTheMoment:
    """It passed the rules in time, its event is of before the moment, and nobody sees it yet."""

    @pytest.mark.parametrize(("end", "expected"), [("COMMIT", 2), ("ROLLBACK", 1)])
    async def test_is_waited_for_and_is_in_the_answer_if_it_commits(
        self, held: Clone, database: Database, end: str, expected: int
    ) -> None:
        async with transaction(held, *WRITE) as writer:
            moment = await present(held)
            asked, why = await ask(database, moment)
            assert f"process {writer.info.backend_pid} (month-end) of amends_worker" in why
            assert not asked.done()
            await writer.execute(end.encode())
            first = await asked
        assert first.version == expected
        await commits_are_late_after(held, "5 seconds")
        await revoke(database)
        await commits_are_late_after(held, "0")
        assert await show(database, BOT, moment, patience_s=PATIENCE_S) == first

    async def test_is_named_to_whoever_has_no_patience_and_to_the_auditor_too(
        self, held: Clone, database: Database
    ) -> None:
        async with (
            transaction(held, *WRITE) as writer,
            open_database(held.auditor, size=1) as auditor,
        ):
            moment = await present(held)
            for reader in (database, auditor):
                who = rf"process {writer.info.backend_pid} \(month-end\)"
                with pytest.raises(StillOpen, match=who):
                    await wait_until_past(reader, moment, patience_s=0)

    async def test_and_began_after_the_look_is_not_waited_for(
        self, held: Clone, database: Database
    ) -> None:
        async with transaction(held, *WRITE) as first:
            asked, _ = await ask(database, await present(held))
            async with transaction(held, event(1, "agent/other")):
                await first.commit()
                assert (await asked).version == 2

    async def test_of_a_session_that_only_reads_holds_nothing_up(
        self, held: Clone, database: Database
    ) -> None:
        async with transaction(held, "SELECT count(*) FROM ledger.event_log"):
            await wait_until_past(database, await present(held), patience_s=PATIENCE_S)


async def test_a_transaction_that_commits_late_is_refused_even_if_it_wrote_in_time(
    held: Clone, database: Database
) -> None:
    async with transaction(held, "SELECT") as slow, transaction(held, row(), event()) as in_time:
        moment = await present(held)
        with pytest.raises(psycopg.Error) as refused:
            await in_time.execute("COMMIT")
        assert sqlstate(refused.value) == "ZA006"
        assert await version(database, moment) == 1
        # Its time is when it began, which is before the moment that was answered for.
        with pytest.raises(psycopg.Error) as refused:
            await carry_out(slow, row(), event(), "COMMIT")
    assert sqlstate(refused.value) == "ZA006"
    assert await version(database, moment) == 1


class TestTheClockStepsBack:
    """What it does is told in docs/time-travel.md.

    A test can't set the clock back. But a transaction that began before T, and may commit however
    late, sees what a commit sees after a step: a time of its own that lies before T.
    """

    async def test_an_event_before_a_moment_that_was_answered_for_is_refused(
        self, held: Clone, database: Database
    ) -> None:
        async with transaction(held, "SELECT") as stepped:
            moment = await present(held)
            assert await version(database, moment) == 1
            await commits_are_late_after(held, "1 hour")
            with pytest.raises(psycopg.Error) as refused:
                await carry_out(stepped, row(), event(), "COMMIT")
        assert sqlstate(refused.value) == "ZA007"
        await commits_are_late_after(held, "0")
        assert await version(database, moment) == 1

    async def test_one_after_all_that_was_answered_for_is_taken(
        self, held: Clone, database: Database
    ) -> None:
        moment = await present(held)
        async with transaction(held, "SELECT") as stepped:
            assert await version(database, moment) == 1
            await commits_are_late_after(held, "1 hour")
            await carry_out(stepped, row(), event(), "COMMIT")
        await commits_are_late_after(held, "0")
        assert await version(database, moment) == 1
        assert await version(database, Point(moment=await now(held))) == 2

    async def test_a_commit_says_that_it_is_the_clock(
        self, held: Clone, database: Database
    ) -> None:
        await held.damage("UPDATE ledger.closed_past SET until = now() + interval '1 hour'")
        with pytest.raises(ClockSetBack, match="set it right"):
            await revoke(database)
        assert await held.fetch("SELECT version FROM ledger.agents") == [(1,)]

    async def test_the_past_stays_closed_where_it_was_closed_further_but_for_who_writes_past_rules(
        self, held: Clone, database: Database
    ) -> None:
        later = await present(held)
        assert later.moment is not None
        for moment in (later, Point(moment=later.moment - timedelta(hours=1))):
            await wait_until_past(database, moment, patience_s=PATIENCE_S)
        assert await held.fetch("SELECT until FROM ledger.closed_past") == [(later.moment,)]
        assert await version(database, later) == 1
        await held.damage(row(), event(at=BEGIN_OF_MONTH, xid="'3'"))
        assert await version(database, later) == 2


class TestAMoment:
    async def test_younger_than_a_late_commit_is_waited_for(
        self, held: Clone, database: Database
    ) -> None:
        await commits_are_late_after(held, "300 milliseconds")
        asked = await now(held)
        await wait_until_past(database, Point(moment=asked), patience_s=PATIENCE_S)
        assert await now(held) - asked > timedelta(milliseconds=300)

    async def test_before_all_others_is_past(self, held: Clone, database: Database) -> None:
        await wait_until_past(database, Point.parse("0001-01-01T00:00:00Z"))
        assert await held.fetch("SELECT until::text FROM ledger.closed_past") == [
            ("0001-01-02 00:00:00+00",)
        ]

    async def test_too_young_for_the_patience_or_to_come_is_refused(
        self, held: Clone, database: Database
    ) -> None:
        await commits_are_late_after(held, "1 hour")
        young = Point(moment=await now(held))
        # And it says how long it takes.
        with pytest.raises(StillOpen, match=r"closes in 3\d{3}\.\d s"):
            await wait_until_past(database, young, patience_s=1)
        tomorrow = Point(moment=await now(held) + timedelta(days=1))
        with pytest.raises(StateRefused, match="still to come") as refused:
            await wait_until_past(database, tomorrow)
        assert refused.value.reason == "in_the_future"
        assert await held.fetch("SELECT until::text FROM ledger.closed_past") == [("-infinity",)]


class TestAPosition:
    async def test_waits_for_who_may_still_show_a_lower_one(
        self, held: Clone, database: Database
    ) -> None:
        """It took position 2 and another took 3, and committed: 3 is seen before 2."""
        async with transaction(held, *WRITE) as writer:
            await register(database, "other-bot")
            assert await held.fetch("SELECT max(position) FROM ledger.event_log") == [(3,)]
            asked, why = await ask(database, Point(position=3))
            assert "may still add events: process" in why
            await writer.commit()
            assert (await asked).version == 2

    async def test_is_answered_at_once_however_young_and_refused_beyond_the_end_of_the_log(
        self, held: Clone, database: Database
    ) -> None:
        await wait_until_past(database, Point(position=1), patience_s=PATIENCE_S)
        assert await version(database, Point(position=1)) == 1
        with pytest.raises(StateRefused, match="the log has not reached it"):
            await wait_until_past(database, Point(position=2))
        # Before the first event no aggregate is known.
        with pytest.raises(NotFound, match=r"its first event is of .* \(position 1\)"):
            await show(database, BOT, Point(moment=datetime(2020, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("0", Point(position=0)),
        ("12345", Point(position=12345)),
        ("2026-11-22T09:00:00Z", Point(moment=datetime(2026, 11, 22, 9, tzinfo=UTC))),
        ("2026-11-22T06:00:00-03:00", Point(moment=datetime(2026, 11, 22, 9, tzinfo=UTC))),
    ],
)
def test_a_point_is_a_position_or_a_time_with_a_zone(text: str, point: Point) -> None:
    assert Point.parse(text) == point
    assert Point.parse(str(point)) == point


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-11-22T09:00:00", "-1", "1" * 19, "0001-01-01T00:00:00+14:00", "٣"],
)
def test_all_else_is_no_point(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"ISO 8601 time with a zone is needed|the zone is missing"
    ):
        Point.parse(text)
