"""A rebuild beside writers, readers and other rebuilds: nobody loses and nobody is misled."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege
from psycopg.types.json import Jsonb

from ledger.aggregates.aggregate import aggregate_id
from ledger.audit import rebuild as rebuild_module
from ledger.audit.rebuild import rebuild
from ledger.database import Database
from ledger.errors import DatabaseUnavailable, TableBusy
from ledger.store.event_log import event_hash, event_id
from tests.ledger.conftest import Clone
from tests.ledger.filling import rows, state_of
from tests.ledger.test_held_up import holding
from tests.ledger.writing import open_payment, register, release, reserve


async def more(database: Database) -> None:
    """One aggregate moves on, one is new, and both reserve spend."""
    await register(database)
    await register(database, "late-bot")
    await release(database, "a-2", 200)
    await open_payment(database, "third")
    await reserve(database, "a-3", 300, "payment/third")


@pytest.fixture
def template(filled_template: str) -> str:
    return filled_template


def before(
    monkeypatch: pytest.MonkeyPatch, step: str, change: Callable[[], Awaitable[None]]
) -> None:
    """Let something happen once, right before a step of the rebuild.

    `_gather` is the first of three passes over the log, `_gather again` the second; `_begin_alone`
    comes before the third, which writers wait for.
    """
    name, *again = step.split()
    original, waited = getattr(rebuild_module, name), -len(again)

    async def changed(*arguments: Any) -> Any:
        nonlocal waited
        waited += 1
        if waited == 1:
            await change()
        return await original(*arguments)

    monkeypatch.setattr(rebuild_module, name, changed)


BETWEEN = ("_gather again", "_begin_alone")


async def rebuild_finds_nothing(clone: Clone, table: str) -> None:
    rebuilt = await rebuild(clone.owner, table)
    assert (rebuilt.wrong, rebuilt.missing, rebuilt.strays) == (0, 0, 0)


@pytest.mark.parametrize("step", BETWEEN)
@pytest.mark.parametrize("table", ["agents", "authorizations", "spend_windows"])
async def test_what_is_written_between_the_passes_is_not_lost(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch, table: str, step: str
) -> None:
    before(monkeypatch, step, partial(more, database))
    await rebuild_finds_nothing(clone, table)
    assert (await clone.verify()).findings == []


@asynccontextmanager
async def open_revocation(clone: Clone) -> AsyncIterator[AsyncConnection[Any]]:
    """A transaction that has revoked `agent/fresh` in the log and in its row, and is still open."""
    async with await AsyncConnection.connect(clone.worker) as connection:
        [now] = await fetch_one(connection, "SELECT clock_timestamp()")
        [previous] = await fetch_one(
            connection, "SELECT head_hash FROM ledger.agents WHERE aggregate = 'agent/fresh'"
        )
        event: dict[str, Any] = {
            "event_id": event_id(aggregate_id("agent/fresh"), 2),
            "aggregate_id": aggregate_id("agent/fresh"),
            "aggregate": "agent/fresh", "version": 2, "event_type": "AgentRevoked",
            "schema_version": 1, "timestamp": now, "user_id": "user:x", "saga_id": None,
            "step": None, "payload": {"reason": None}, "metadata": {},
        }  # fmt: skip
        event["hash"] = event_hash(previous, event)
        event |= {"payload": Jsonb(event["payload"]), "metadata": Jsonb({})}
        columns = ", ".join(f'"{name}"' for name in event)
        values = ", ".join(f"%({name})s" for name in event)
        insert = f"INSERT INTO ledger.event_log ({columns}) VALUES ({values})"
        await connection.execute(insert.encode(), event)
        await connection.execute(
            "UPDATE ledger.agents SET version = 2, head_at = %s, head_hash = %s, state = 'revoked' "
            "WHERE aggregate = 'agent/fresh'",
            (now, event["hash"]),
        )
        yield connection


async def fetch_one(connection: AsyncConnection[Any], statement: str) -> Any:
    row = await (await connection.execute(statement.encode())).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("step", BETWEEN)
@pytest.mark.parametrize("table", ["agents", "spend_windows"])
async def test_what_was_open_at_the_first_pass_and_commits_after_others_is_told_once(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch, table: str, step: str
) -> None:
    """Its position and its transaction are lower than those that the first pass saw."""
    await register(database, "fresh")
    async with open_revocation(clone) as connection:
        await more(database)
        before(monkeypatch, step, connection.commit)
        await rebuild_finds_nothing(clone, table)
    assert ("revoked",) in await clone.fetch(
        "SELECT state FROM ledger.agents WHERE aggregate = 'agent/fresh'"
    )
    assert (await clone.verify()).findings == []


async def test_running_writers_lose_nothing(clone: Clone, ledger: Database) -> None:
    async def writer(number: int) -> None:
        for turn in range(20):
            await register(ledger, f"bot-{turn % 3}")
            await reserve(ledger, f"a-{number}-{turn}", 10)

    writing = asyncio.gather(*(writer(number) for number in range(4)))
    rebuilds = 0
    while not writing.done():
        for table in ("agents", "spend_windows"):
            await rebuild_finds_nothing(clone, table)
        rebuilds += 1
    await writing
    assert rebuilds > 1
    [(spent,)] = await clone.fetch("SELECT sum(amount_minor) FROM ledger.spend_windows")
    assert spent == 500 + 4 * 20 * 10


async def test_a_reader_of_an_earlier_moment_sees_that_moment(clone: Clone) -> None:
    """A table that were exchanged as a whole would be empty to it."""
    await clone.damage("UPDATE ledger.agents SET state = 'active'")
    async with await AsyncConnection.connect(clone.auditor) as reader:
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await reader.execute("SELECT FROM ledger.event_log")
        assert (await rebuild(clone.owner, "agents")).wrong == 1
        assert await fetch_one(reader, "SELECT state FROM ledger.agents") == ("active",)
        await reader.commit()
        assert await fetch_one(reader, "SELECT state FROM ledger.agents") == ("revoked",)


async def test_transactions_of_before_a_restore_are_counted_once(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their ids mean nothing here, and look as if they were to come."""
    await clone.damage(
        "UPDATE ledger.event_log SET xid = (xid::text::bigint + 1000000)::text::xid8",
        "UPDATE ledger.agents SET xid = (xid::text::bigint + 1000000)::text::xid8",
        "INSERT INTO ledger.incarnations (system_identifier, restored_position) "
        "SELECT system_identifier, max(position) FROM ledger.event_log, pg_control_system() "
        "GROUP BY 1",
    )
    before(monkeypatch, "_gather again", partial(more, database))
    for table in ("spend_windows", "agents"):
        await rebuild_finds_nothing(clone, table)


async def test_two_rebuilds_exclude_each_other_until_the_first_has_ended(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def another() -> None:
        who = r"another rebuild .* by process \d+ \(amends rebuild\) of amends_owner in"
        with pytest.raises(TableBusy, match=who):
            await rebuild(clone.owner, "sagas")

    monkeypatch.setattr(rebuild_module, "_LOOK_AFTER_S", 0.2)
    monkeypatch.setattr(rebuild_module, "_LOCK_TIMEOUT", "1s")
    before(monkeypatch, "_gather", another)
    for _ in range(2):
        assert (await rebuild(clone.owner, "agents")).rows == 1


async def test_no_reader_and_no_worker_stops_a_rebuild_by_a_lock_that_everybody_may_take(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_module, "_LOCK_TIMEOUT", "1s")
    locks = "SELECT pg_advisory_lock(4107220003)", "SELECT FROM ledger.alembic_version"
    async with holding(clone.auditor, *locks), holding(clone.worker, locks[1]):
        assert (await rebuild(clone.owner, "agents")).rows == 1
    for url in (clone.auditor, clone.worker):
        with pytest.raises(InsufficientPrivilege):
            await clone.execute(url, "LOCK ledger.alembic_version IN ROW SHARE MODE")


async def test_a_table_that_a_writer_keeps_is_busy_and_unchanged(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_module, "_LOCK_TIMEOUT", "1s")
    monkeypatch.setattr(rebuild_module, "_LOCK_TRIES", 1)
    monkeypatch.setattr(rebuild_module, "_LOOK_AFTER_S", 0.2)
    await register(database, "fresh")
    await clone.damage("UPDATE ledger.agents SET \"user\" = 'x' WHERE aggregate <> 'agent/fresh'")
    held = await rows(clone, "agents")
    async with open_revocation(clone) as connection:
        with pytest.raises(TableBusy, match=r"ledger\.agents stayed locked by process \d+"):
            await rebuild(clone.owner, "agents")
        await connection.rollback()
    assert await rows(clone, "agents") == held
    assert (await rebuild(clone.owner, "agents")).wrong == 1


async def test_a_rebuild_that_is_killed_leaves_nothing_and_can_be_repeated(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clone.damage("UPDATE ledger.agents SET state = 'active'")
    held = await state_of(clone, "agents")
    original = rebuild_module._exchange

    async def killed(*arguments: Any) -> Any:
        await original(*arguments)
        await clone.execute(
            clone.superuser,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND usename = 'amends_owner'",
        )
        return await original(*arguments)

    with monkeypatch.context() as dying:
        dying.setattr(rebuild_module, "_exchange", killed)
        with pytest.raises(DatabaseUnavailable):
            await rebuild(clone.owner, "agents")
    assert await state_of(clone, "agents") == held
    assert (await rebuild(clone.owner, "agents")).wrong == 1
    assert (await clone.verify()).findings == []
