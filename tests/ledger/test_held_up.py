"""What others hold: a reader holds up neither a start nor an answer, and whoever does is named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection

from ledger.database import Database, open_database
from ledger.errors import DatabaseUnavailable, TableBusy, Unwritable
from ledger.migrations import partitions, upgrade
from ledger.read.point_in_time import Point
from ledger.read.show import show
from ledger.store.rehearsal import rehearse
from tests.ledger.conftest import Clone
from tests.ledger.test_past import PATIENCE_S, commits_are_late_after, present
from tests.ledger.writing import BOT, register, revoke
from worker import process
from worker.errors import Unreachable

# The locks that migrations and partitions took once: any role may take them.
ADVISORY = "SELECT pg_advisory_xact_lock(4107220001), pg_advisory_xact_lock(4107220002)"


@asynccontextmanager
async def holding(url: str, *statements: str) -> AsyncIterator[None]:
    """A transaction that stays open after these statements."""
    async with await AsyncConnection.connect(f"{url}?application_name=month-end") as connection:
        for statement in statements:
            await connection.execute(statement.encode())
        yield
        await connection.rollback()


async def test_a_reader_that_stays_open_holds_up_no_start_no_answer_and_no_commit(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(database)
    monkeypatch.setattr(upgrade, "_PATIENCE", "1s")
    moment = await present(clone)
    close = f"SELECT ledger.close_past('{moment.moment}')"
    mine = "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM ledger.event_log"
    async with holding(clone.auditor, *mine, ADVISORY, close):
        await partitions.create_partitions(database, 9)
        await asyncio.to_thread(upgrade.upgrade, clone.owner)
        async with open_database(clone.auditor, size=1) as reader:
            assert (await show(reader, BOT, moment, patience_s=PATIENCE_S)).version == 1
            later = Point(moment=(await present(clone)).moment)
            assert (await show(reader, BOT, later, patience_s=PATIENCE_S)).version == 1
        await commits_are_late_after(clone, "5 seconds")
        await revoke(database)
        await rehearse(database)
    wrong = [found.where for found in (await clone.verify()).findings]
    assert wrong == ["function ledger.late_after()"]


@pytest.mark.parametrize("statement", ["SELECT FROM ledger.maintenance", "LOCK ledger.maintenance"])
async def test_no_reader_and_no_worker_may_lock_what_guards_a_start(
    clone: Clone, statement: str
) -> None:
    for url in (clone.auditor, clone.worker):
        with pytest.raises(Exception, match="permission denied for table maintenance"):
            await clone.execute(url, statement)


async def test_who_holds_the_log_is_named_and_only_this_months_partition_is_needed_to_start(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(partitions, "_TRIES", 1)
    monkeypatch.setattr(process, "PARTITIONS_AHEAD_MONTHS", 9)
    monkeypatch.setattr(upgrade, "_PATIENCE", "100ms")
    who = r"by process \d+ \(month-end\) of amends_owner in ledger_template"
    async with (
        holding(clone.owner, "LOCK TABLE ledger.event_log"),
        open_database(clone.worker, size=1) as database,
    ):
        with pytest.raises(DatabaseUnavailable, match=f"the log stayed locked {who}"):
            await partitions.create_partitions(database, 9)
        await process.first_partitions(database)
        assert "the log stayed locked by process" in caplog.text
        monkeypatch.setattr(partitions, "_THIS_MONTH", "SELECT false AS is_there")
        with pytest.raises(Unreachable, match=who):
            await process.first_partitions(database)
    async with holding(clone.owner, "LOCK TABLE ledger.maintenance"):
        with pytest.raises(TableBusy, match=who):
            await asyncio.to_thread(upgrade.upgrade, clone.owner)


# What is in the way, as whom, and what is said of it.
IN_THE_WAY = {
    "REVOKE INSERT (payload) ON ledger.event_log FROM amends_worker": "event_log: this role may",
    "REVOKE UPDATE ON ledger.transfers FROM amends_worker": "transfers: this role may not",
    "REVOKE UPDATE ON ledger.spend_windows FROM amends_worker": "spend_windows: this role may not",
    "REVOKE USAGE ON SCHEMA ledger FROM amends_worker": "event_log: this role may not",
}


@pytest.mark.parametrize("statement", IN_THE_WAY)
async def test_a_rehearsal_names_the_table_that_takes_no_writes(
    clone: Clone, database: Database, statement: str
) -> None:
    await rehearse(database)
    await clone.execute(clone.owner, statement)
    with pytest.raises(Unwritable, match=IN_THE_WAY[statement]):
        await rehearse(database)


@pytest.mark.parametrize("table", ["event_log", "saga_steps"])
async def test_a_rehearsal_names_the_table_that_is_locked_and_leaves_no_trace(
    clone: Clone, database: Database, table: str
) -> None:
    async with holding(clone.owner, f"LOCK TABLE ledger.{table} IN SHARE MODE"):
        with pytest.raises(Unwritable, match=f"{table}: it is locked by another session"):
            await rehearse(database)
    for _ in range(3):
        await rehearse(database)
    # The first event of this ledger has the first position.
    await register(database)
    assert await clone.fetch("SELECT min(position) FROM ledger.event_log") == [(1,)]
