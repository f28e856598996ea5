"""What others hold: a reader holds up neither a start nor an answer, and whoever does is named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from alembic import command
from psycopg import AsyncConnection

from ledger import database as ledger_database
from ledger.aggregates.names import NAMED
from ledger.database import Database, open_database
from ledger.errors import DatabaseUnavailable, TableBusy, Unwritable
from ledger.migrations import partitions, upgrade
from ledger.read.point_in_time import Point
from ledger.read.show import show
from ledger.store import commit
from ledger.store.rehearsal import rehearse, try_to_commit
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
    async with await AsyncConnection.connect(f"{url}&application_name=month-end") as connection:
        for statement in statements:
            await connection.execute(statement.encode())
        yield
        await connection.rollback()


async def test_a_reader_that_stays_open_holds_up_no_start_no_answer_and_no_commit(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(database)
    monkeypatch.setattr(upgrade, "_PATIENCE_S", 0)
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
    monkeypatch.setattr(upgrade, "_PATIENCE_S", 0)
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


async def test_a_migration_names_the_reader_in_its_way_and_goes_on_when_the_reader_has_left(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a table, and commits wait behind it no longer than for one of its tries."""
    # A migration that has to change a table.
    lock = "LOCK TABLE ledger.agents; DELETE FROM ledger.alembic_version WHERE false"
    original = command.upgrade

    def changes(configuration: Any, revision: str) -> None:
        original(configuration, revision)
        configuration.attributes["connection"].exec_driver_sql(lock)

    monkeypatch.setattr(command, "upgrade", changes)
    async with holding(clone.auditor, "SELECT FROM ledger.agents"):
        with monkeypatch.context() as hurried:
            hurried.setattr(upgrade, "_PATIENCE_S", 0)
            with pytest.raises(TableBusy, match=r"\(month-end\) of amends_auditor"):
                await asyncio.to_thread(upgrade.upgrade, clone.owner)
        going_on = asyncio.create_task(asyncio.to_thread(upgrade.upgrade, clone.owner))
        await clone.until_waiting()
        await register(database)
        assert not going_on.done()
    await going_on


@pytest.mark.parametrize(
    "statement", ["LOCK TABLE ledger.agents", "SELECT FROM ledger.agents FOR UPDATE"]
)
async def test_a_commit_that_waits_for_a_lock_names_who_holds_it_and_nothing_is_written(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.setitem(ledger_database._OF_WRITERS, "lock_timeout", "1s")
    monkeypatch.setattr(commit, "_LOOK_AFTER_S", 0.2)
    who = r"agent/expense-bot: .* locked by process \d+ \(month-end\) of amends_worker in"
    async with open_database(clone.worker, size=2, writes=True) as database:
        await register(database)
        async with holding(clone.worker, statement):
            waiting = [asyncio.create_task(revoke(database)) for _ in range(2)]
            for each in waiting:
                with pytest.raises(Unwritable, match=who):
                    await each
        await revoke(database)
    assert (await clone.verify()).findings == []


# What is in the way of a commit, as whom, and the reason that is given.
REVOKED = "REVOKE {0} FROM amends_worker"
RAISES = """CREATE FUNCTION ledger.raises() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a secret' USING ERRCODE = '{1}'; END $$;
    CREATE TRIGGER raises BEFORE INSERT ON ledger.{0} FOR EACH ROW EXECUTE FUNCTION ledger.raises()
    """
IN_THE_WAY = {
    REVOKED.format("INSERT (payload) ON ledger.event_log"): "role may not: .* table event_log",
    REVOKED.format("UPDATE ON ledger.transfers"): "role may not: .* table transfers",
    REVOKED.format("UPDATE ON ledger.spend_windows"): "role may not: .* table spend_windows",
    REVOKED.format("INSERT ON ledger.sagas"): "role may not: .* table sagas",
    REVOKED.format("INSERT ON ledger.authorizations"): "role may not: .* table authorizations",
    REVOKED.format("SELECT ON ledger.closed_past"): "role may not: .* table closed_past",
    REVOKED.format("USAGE ON SCHEMA ledger"): "role may not: .* schema ledger",
    "REVOKE EXECUTE ON FUNCTION ledger.count_events FROM PUBLIC, amends_worker": (
        "role may not: .* function count_events"
    ),
    RAISES.format("policies", "P0001"): r"ledger\.policies: PostgreSQL: RaiseException",
    RAISES.format("event_log", "53100"): "the disk of the database server is full",
    "INSERT INTO ledger.closed_past VALUES (now() + interval '1 day')": "clock is behind a moment",
}


@pytest.mark.parametrize("statement", IN_THE_WAY)
async def test_a_rehearsal_names_what_is_in_the_way_of_a_commit(
    clone: Clone, database: Database, statement: str
) -> None:
    await rehearse(database)
    await clone.execute(clone.owner, statement)
    with pytest.raises(Unwritable, match=IN_THE_WAY[statement]):
        await rehearse(database)


MONTH = "event_log_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"
LOCKS = (
    "LOCK TABLE ledger.event_log IN SHARE MODE",
    "LOCK TABLE ledger.saga_steps IN SHARE MODE",
    "LOCK TABLE ledger.closed_past",
    f"DO $$ BEGIN EXECUTE 'LOCK TABLE ledger.{MONTH}; END $$",
)


@pytest.mark.parametrize("statement", LOCKS)
async def test_a_rehearsal_names_who_holds_a_lock_and_leaves_no_row(
    clone: Clone, database: Database, statement: str
) -> None:
    who = r"locked by process \d+ \(month-end\) of amends_owner in ledger_template"
    async with holding(clone.owner, statement):
        with pytest.raises(Unwritable, match=who):
            await rehearse(database)
    await asyncio.gather(*(rehearse(database) for _ in range(4)))
    for table in ("event_log", "spend_windows", *(each.table for each in NAMED.values())):
        assert await clone.fetch(f"SELECT count(*) FROM ledger.{table}") == [(0,)]


async def test_a_rehearsal_waits_for_no_other_that_hangs_in_the_middle(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        hanging = await stack.enter_async_context(database.connection())
        await hanging.begin()
        for _ in range(2):
            await try_to_commit(hanging)
        await rehearse(database)
        await hanging.rollback()
