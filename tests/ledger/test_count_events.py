"""The count of a row's events reads the partition of their month, and is right in any month."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import AsyncConnection

from ledger.database import Database
from ledger.migrations.partitions import create_partitions
from tests.ledger.conftest import Clone
from tests.ledger.rules.world import AGENT, BOT, event, new_row, row
from tests.ledger.writing import register, sqlstate

THIS_MONTH = "'event_log_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"
NEXT_MONTH = "'event_log_' || to_char(date_trunc('month', now(), 'UTC') + '40 days', 'YYYY_MM')"
COUNT = "oid = to_regproc('ledger.count_events')"
# A session plans five times for its values, and then once for all.
UNTIL_PLANNED = 8


class Writer:
    """The worker in one session: it writes an agent again and again."""

    def __init__(self, connection: AsyncConnection[tuple[object, ...]]) -> None:
        self._connection, self._version = connection, 0

    async def write(self) -> set[str]:
        """One legal commit; which partitions it has locked at its end."""
        self._version += 1
        moved = row(self._version) if self._version > 1 else new_row(BOT)
        await self._connection.execute(moved.encode())
        await self._connection.execute(event(self._version).encode())
        await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor = await self._connection.execute(
            "SELECT DISTINCT inhrelid::regclass::text FROM pg_locks JOIN pg_inherits "
            "ON relation = inhrelid AND inhparent = 'ledger.event_log'::regclass "
            "WHERE pid = pg_backend_pid() AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        locked = {str(name) for (name,) in await cursor.fetchall()}
        await self._connection.commit()
        return locked

    async def is_refused_to_cheat(self) -> None:
        """A row and no event."""
        await self._connection.execute(row(self._version + 1).encode())
        with pytest.raises(psycopg.Error) as refused:
            await self._connection.commit()
        assert sqlstate(refused.value) == "ZA004"
        await self._connection.rollback()


@pytest.fixture
async def writer(clone: Clone) -> AsyncIterator[Writer]:
    async with await AsyncConnection.connect(clone.worker) as connection:
        yield Writer(connection)


async def _text(clone: Clone) -> tuple[object, ...]:
    [text] = await clone.fetch(f"SELECT prosrc, xmin::text FROM pg_proc WHERE {COUNT}")
    return text


async def _make_stale(clone: Clone) -> None:
    """As if nobody had made a partition for years."""
    await clone.execute(
        clone.owner,
        "DO $$ BEGIN EXECUTE (SELECT regexp_replace(pg_get_functiondef(oid), "
        rf"'event_log_\d+', 'event_log_2019', 'g') FROM pg_proc WHERE {COUNT}); END $$",
    )


async def test_a_commit_locks_the_partition_of_its_month_alone_and_misses_no_next_one_that_is_gone(
    clone: Clone, writer: Writer
) -> None:
    [(this_month, next_month)] = await clone.fetch(f"SELECT {THIS_MONTH}, {NEXT_MONTH}")
    for _ in range(UNTIL_PLANNED):
        assert await writer.write() == {f"ledger.{this_month}"}
    await clone.execute(clone.owner, f"DROP TABLE ledger.{next_month}")
    for _ in range(UNTIL_PLANNED):
        await writer.write()
    await writer.is_refused_to_cheat()


async def test_it_is_right_for_a_month_it_does_not_name_and_then_written_anew_and_only_then(
    clone: Clone, writer: Writer, database: Database
) -> None:
    await writer.write()
    written = await _text(clone)
    # It is the same for any number of months ahead.
    for ahead in (0, 14):
        await create_partitions(database, ahead)
    assert await _text(clone) == written
    [(this_month, next_month)] = await clone.fetch(f"SELECT {THIS_MONTH}, {NEXT_MONTH}")
    assert [str(written[0]).count(f"ledger.{name} ") for name in (this_month, next_month)] == [1, 1]
    await _make_stale(clone)
    assert (await _text(clone))[0] != written[0]
    for _ in range(UNTIL_PLANNED):
        await writer.write()
    await writer.is_refused_to_cheat()
    assert "rule" not in {each.kind for each in (await clone.verify()).findings}

    await asyncio.gather(*(create_partitions(database, 3) for _ in range(6)))
    assert (await _text(clone))[0] == written[0]
    assert len(await writer.write()) == 1


async def test_it_finds_an_event_at_the_border_of_a_month_in_any_zone_and_else_nothing(
    clone: Clone, database: Database
) -> None:
    await register(database)
    first = "date_trunc('month', now(), 'GMT')"
    last = f"{first} + interval '1 month' - interval '1 microsecond'"
    for version, moment in ((2, first), (3, last)):
        await clone.damage("SET LOCAL TimeZone = 'GMT'", event(version, at=moment, xid="'3'"))
        for zone in ("<UTC>+5", "<UTC>-5", "Asia/Kolkata"):
            await clone.execute(
                clone.worker,
                "SET LOCAL TimeZone = 'GMT'",
                f"CREATE TEMP TABLE moment AS SELECT {moment} AS at",
                f"SET LOCAL TimeZone = '{zone}'",
                "DO $$ BEGIN ASSERT (SELECT ledger.count_events("
                f"'{AGENT.id}', at, '3', {version - 1}, {version}) FROM moment) = 1; END $$",
            )
    async with await AsyncConnection.connect(clone.worker) as connection:
        for nowhere in ("infinity", "-infinity", "0044-03-15 BC", "20001-01-01", None):
            cursor = await connection.execute(
                "SELECT ledger.count_events(gen_random_uuid(), %s, '3', 0, 1)", (nowhere,)
            )
            assert await cursor.fetchall() == [(0,)]
