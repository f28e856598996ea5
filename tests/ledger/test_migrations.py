"""Migrations: what they make is what the code expects, however often and by however many."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import AsyncConnection
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.pool import NullPool

from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.core import Xid8, metadata
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.spend_window import SPEND_WINDOWS
from ledger.database import Database, open_database
from ledger.errors import DatabaseUnavailable, MigrationRefused
from ledger.migrations import upgrade as migrate
from ledger.migrations.partitions import create_partitions
from ledger.read.snapshots import SNAPSHOTS
from ledger.store.event_log import EVENT_LOG, event_id
from tests.ledger.conftest import Clone, create_database
from tests.ledger.writing import sqlstate
from worker.embedded.servers import EmbeddedServers

PARTITIONS = """SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = 'ledger.event_log'::regclass ORDER BY 1"""


@pytest.fixture
async def empty(servers: EmbeddedServers) -> AsyncIterator[str]:
    """The owner's URL of a database that was never migrated."""
    await create_database(servers, "never_migrated")
    yield servers.ledger_url("amends_owner", "never_migrated")
    async with await AsyncConnection.connect(servers.main.url(), autocommit=True) as connection:
        await connection.execute("DROP DATABASE never_migrated WITH (FORCE)")


async def test_migrating_again_changes_nothing(clone: Clone) -> None:
    tables = "SELECT oid, relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace"
    before = await clone.fetch(tables)
    first, second = [await asyncio.to_thread(migrate.upgrade, clone.owner) for _ in range(2)]
    assert first == second
    assert await clone.fetch("SELECT version_num FROM ledger.alembic_version") == [(first,)]
    assert set(await clone.fetch(tables)) == set(before)


AGENT = f"'{aggregate_id('agent/x')}', 'agent/x'"
EVENT = (
    "INSERT INTO ledger.event_log (event_id, aggregate_id, aggregate, version, event_type, "
    '"timestamp", user_id, payload, metadata, hash, schema_version, xid) VALUES '
    f"({{}}, {AGENT}, 1, 'AgentRegistered', now(), 'user:u', '{{{{}}}}', '{{}}', "
    "decode(repeat('00', 32), 'hex'), 1, '3')"
)
# Rows that 0003 took and 0004 does not: how they come there, what is said, and how they go.
REFUSED = {
    'snapshots_moments does not allow: "agent/x"': (
        f"INSERT INTO ledger.snapshots VALUES ({AGENT}, 1, now(), "
        "decode(repeat('00', 32), 'hex'), 'f', '{}', 'infinity')",
        "DELETE FROM ledger.snapshots",
    ),
    'spend_windows_dates does not allow: "x/ARS/daily/infinity"': (
        "INSERT INTO ledger.spend_windows VALUES ('x', 'ARS', 'daily', 'infinity', 1, 1)",
        "DELETE FROM ledger.spend_windows",
    ),
    'agents_texts does not allow: "agent/x"': (
        f"INSERT INTO ledger.agents VALUES ({AGENT}, 1, 0, now(), "
        "decode(repeat('00', 32), 'hex'), '3', E'x\\ny', 'user:u', 'active')",
        "DELETE FROM ledger.agents",
    ),
    'event_log_metadata_check does not allow: "agent/x"': (
        EVENT.format(f"'{event_id(aggregate_id('agent/x'), 1)}'", '{"context": 7}'),
        "DELETE FROM ledger.event_log",
    ),
    "random ids: begin a new one": (
        EVENT.format("gen_random_uuid()", "{}"),
        "DELETE FROM ledger.event_log",
    ),
}


async def test_a_row_that_a_migration_does_not_allow_is_named(
    empty: str, servers: EmbeddedServers
) -> None:
    newest = command.upgrade
    with patch.object(command, "upgrade", lambda to, _: newest(to, "0003")):
        await asyncio.to_thread(migrate.upgrade, empty)
    superuser = psycopg.conninfo.make_conninfo(servers.main.url(), dbname="never_migrated")
    async with await AsyncConnection.connect(superuser, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        for told, (bad, mended) in REFUSED.items():
            await connection.execute(bad.encode())
            with pytest.raises(MigrationRefused, match="nothing was changed") as refused:
                await asyncio.to_thread(migrate.upgrade, empty)
            assert told in str(refused.value)
            await connection.execute(mended.encode())
    await asyncio.to_thread(migrate.upgrade, empty)


async def test_only_the_owner_migrates_and_two_at_once_make_one_schema(
    empty: str, servers: EmbeddedServers
) -> None:
    async def answer(question: str) -> list[tuple[object, ...]]:
        async with await AsyncConnection.connect(empty) as connection:
            return await (await connection.execute(question.encode())).fetchall()

    worker = servers.ledger_url("amends_worker", "never_migrated")
    with pytest.raises(Exception, match="permission denied"):
        await asyncio.to_thread(migrate.upgrade, worker)
    assert await answer("SELECT to_regnamespace('ledger')") == [(None,)]
    revisions = await asyncio.gather(*(asyncio.to_thread(migrate.upgrade, empty) for _ in range(2)))
    assert len(set(revisions)) == 1
    assert await answer("SELECT version_num FROM ledger.alembic_version") == [(revisions[0],)]


async def test_tables_are_what_the_code_expects_and_a_column_too_many_is_seen(clone: Clone) -> None:
    known = [
        *(kind.columns for kind in AGGREGATE_TYPES.values()),
        EVENT_LOG,
        SPEND_WINDOWS,
        SNAPSHOTS,
    ]
    assert {columns.table.fullname for columns in known} == set(metadata.tables)
    assert await asyncio.to_thread(_differences, clone.owner) == []
    await clone.execute(clone.owner, "ALTER TABLE ledger.agents ADD COLUMN mood text")
    [(kind, *_)] = await asyncio.to_thread(_differences, clone.owner)
    assert kind == "remove_column"


def _differences(url: str) -> list[Any]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    # SQLAlchemy reads this type of PostgreSQL only when it is told what it is.
    known = patch.dict(ischema_names, {"xid8": Xid8})
    with known, engine.connect() as connection:
        ours = {"include_name": _in_ledger, "include_object": _ours, "include_schemas": True}
        options = {**ours, "version_table_schema": "ledger", "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))


def _in_ledger(name: str | None, kind: str, _: Mapping[str, Any]) -> bool:
    return kind != "schema" or name == "ledger"


def _ours(_: Any, name: str | None, kind: str, reflected: bool, __: Any) -> bool:
    """Indexes and three tables are the database's alone; partitions are like their parent."""
    if kind == "index":
        return False
    database_only = name in ("incarnations", "closed_past", "maintenance") or str(name).startswith(
        "event_log_"
    )
    return not (kind == "table" and reflected and database_only)


async def test_partitions_made_by_many_at_once_are_those_of_the_months_of_utc_ahead_with_all_rules(
    clone: Clone, ledger: Database
) -> None:
    before = await clone.fetch(PARTITIONS)
    for _ in range(2):
        await asyncio.gather(*(create_partitions(ledger, 14) for _ in range(6)))
    after = await clone.fetch(PARTITIONS)
    now = datetime.now(UTC)
    months = [now.year * 12 + now.month - 1 + ahead for ahead in range(15)]
    assert [name for (name,) in after] == [
        f"ledger.event_log_{month // 12}_{month % 12 + 1:02d}" for month in months
    ]
    assert set(before) <= set(after)
    triggers = (
        "SELECT DISTINCT array_agg(tgname ORDER BY tgname) FROM pg_trigger t "
        "JOIN pg_inherits ON tgrelid = inhrelid "
        "WHERE inhparent = 'ledger.event_log'::regclass GROUP BY tgrelid"
    )
    assert len(await clone.fetch(triggers)) == 1
    for ahead, zone in ((16, "<UTC>+5"), (18, "<UTC>-5"), (20, "Asia/Kolkata")):
        here = ("SET LOCAL DateStyle = 'SQL'", f"SET LOCAL TimeZone = '{zone}'")
        await clone.execute(clone.worker, *here, f"SELECT ledger.create_partitions({ahead})")
    bounds = await clone.fetch(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relispartition "
        "AND relkind = 'r' ORDER BY relname"
    )
    # A month is one in UTC, whatever zone the caller is in.
    assert f"FROM ('{now:%Y-%m}-01 00:00:00+00')" in str(bounds[0])
    assert [str(bound).count("-01 00:00:00+00") for bound in bounds] == [2] * 21
    with pytest.raises(psycopg.Error) as refused:
        await create_partitions(ledger, 25)
    assert sqlstate(refused.value) == "ZA010"


async def test_a_log_that_stays_locked_is_said_to_be_unavailable(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.migrations.partitions._TRIES", 1)
    async with (
        await AsyncConnection.connect(clone.superuser) as other,
        open_database(clone.worker, size=1) as database,
    ):
        await other.execute("LOCK TABLE ledger.event_log")
        with pytest.raises(DatabaseUnavailable, match="the log stayed locked"):
            await create_partitions(database, 6)
        await other.rollback()
        await create_partitions(database, 6)
