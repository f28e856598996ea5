"""The ledger behind PgBouncer in transaction mode: each transaction may get another session, with
the settings of somebody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from ledger import database as ledger_database
from ledger.audit.rebuild import rebuild
from ledger.audit.verify import verify
from ledger.database import Database, Pooling, open_database
from ledger.errors import EndedBySetting, Pooled, Unwritable
from ledger.migrations import upgrade as migrate
from ledger.migrations.partitions import create_partitions
from ledger.read.global_order import START
from ledger.read.log import LoggedEvent, log
from ledger.read.show import show
from ledger.read.snapshot_writer import SnapshotMaker
from ledger.read.subscription import Follower
from ledger.session import SETTINGS, connect
from ledger.store import commit
from starter.cli.run import run
from tests.ledger import writing
from tests.ledger.conftest import Clone, create_database, dropped_afterwards
from tests.ledger.test_ambient_settings import VALUES, Ambient, answers, apply, found
from tests.ledger.test_held_up import holding
from tests.support.pgbouncer import POOL_SIZE, Bouncer, pgbouncer
from worker.embedded.servers import EmbeddedServers
from worker.errors import Unreachable
from worker.process import first_partitions

OF_WRITERS = {**SETTINGS, **ledger_database._OF_WRITERS}


@pytest.fixture
async def pooled(clone: Clone, bouncer: Bouncer, pooling: Pooling) -> AsyncIterator[Database]:
    """The worker's connections through PgBouncer; whatever the test wrote, `verify` finds
    nothing."""
    url = bouncer.through(clone.worker)
    async with open_database(url, size=12, pooling=pooling, writes=True) as database:
        yield database
    assert (await clone.verify()).findings == []


async def test_commits_and_answers_are_those_of_a_session_whatever_others_leave_in_the_pool(
    servers: EmbeddedServers, clone: Clone, bouncer: Bouncer, pooling: Pooling
) -> None:
    url = bouncer.through(clone.worker)
    async with open_database(url, size=2, pooling=pooling, writes=True) as pooled:
        # Both are made before, since whoever connects sets what a session relies on.
        async with pooled.connection(), pooled.connection():
            pass
        await leave_strange_settings(servers, clone, bouncer)
        await write_and_compare(clone, pooled)


async def leave_strange_settings(servers: EmbeddedServers, clone: Clone, bouncer: Bouncer) -> None:
    """In the database, and in all sessions of the pool at once."""
    strange = {name: values[0] for name, values in VALUES.items()}
    admin = replace(clone, superuser=servers.main.url())
    await apply(admin, Ambient(strange, strange, {}, {}, {}))
    async with AsyncExitStack() as stack:
        for _ in range(POOL_SIZE):
            other = await stack.enter_async_context(await connect(bouncer.through(clone.worker)))
            for name, value in strange.items():
                if not name.startswith("idle"):
                    await other.execute(f"SET {name} = '{value}'".encode())


async def write_and_compare(clone: Clone, pooled: Database) -> None:
    await writing.register(pooled)
    await writing.set_policy(pooled)
    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(writing.reserve(pooled, f"a-{number}", 10_000))
            group.create_task(writing.register(pooled, f"bot-{number}"))
    await create_partitions(pooled, 9)
    await SnapshotMaker(pooled).make()
    async with pooled.connection() as connection:
        settings = {name: value for name, value in OF_WRITERS.items() if name[:7] != "default"}
        assert await found(connection, settings) == settings
    async with open_database(clone.auditor, size=1) as direct:
        assert await log(pooled, limit=99) == (events := await log(direct, limit=99))
        assert len(events) == 38
        assert str(events) == str(await log(pooled, limit=99))
        name = "authorization/a-3"
        assert str(await show(pooled, name)) == str(await show(direct, name))
        assert await verify(pooled) == await verify(direct)


async def test_a_subscription_gives_every_event_without_being_woken(
    clone: Clone, bouncer: Bouncer, pooling: Pooling, pooled: Database
) -> None:
    taken: list[LoggedEvent] = []
    url = bouncer.through(clone.auditor)
    async with open_database(url, size=1, pooling=pooling) as auditor, asyncio.timeout(60):
        async with aclosing(Follower(auditor, after=START).events()) as events:
            for number in range(3):
                await asyncio.gather(
                    *(writing.register(pooled, f"bot-{number}-{each}") for each in range(4))
                )
                taken += [await anext(events) for _ in range(4)]
        assert taken == await log(auditor, limit=99)


async def test_who_holds_a_lock_is_named_although_the_pooler_gives_other_process_numbers(
    clone: Clone, bouncer: Bouncer, pooling: Pooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ledger_database._OF_WRITERS, "lock_timeout", "1s")
    monkeypatch.setattr(commit, "_LOOK_AFTER_S", 0.2)
    url = bouncer.through(clone.worker)
    async with (
        open_database(url, size=1, pooling=pooling, writes=True) as database,
        holding(clone.worker, "LOCK TABLE ledger.agents"),
    ):
        with pytest.raises(Unwritable, match=r"process \d+ \(month-end\) of amends_worker in"):
            await writing.register(database)


async def test_a_restore_behind_the_pooler_is_recorded_with_the_next_commit(
    clone: Clone, pooled: Database
) -> None:
    await writing.register(pooled)
    await clone.damage("UPDATE ledger.incarnations SET system_identifier = 1")
    await writing.revoke(pooled)
    begun = "SELECT restored_position FROM ledger.incarnations ORDER BY incarnation"
    assert await clone.fetch(begun) == [(0,), (1,)]


async def test_whoever_waits_too_long_for_a_session_is_told_of_the_poolers_setting(
    servers: EmbeddedServers, session_folder: Path, clone: Clone
) -> None:
    folder = session_folder / "waiting"
    async with (
        pgbouncer(servers, folder, default_pool_size=1, query_wait_timeout=1) as bouncer,
        open_database(
            bouncer.through(clone.worker), size=2, wait_s=2, pooling="transaction"
        ) as database,
        database.connection() as connection,
    ):
        await connection.begin()
        with pytest.raises(EndedBySetting, match="setting query_wait_timeout is in the way"):
            await writing.register(database)


async def test_options_of_the_environment_are_kept_from_a_pooler_and_those_of_an_address_named(
    clone: Clone, bouncer: Bouncer, pooling: Pooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=8MB -c DateStyle=German")
    url = bouncer.through(clone.auditor)
    async with open_database(url, size=1, pooling=pooling) as database:
        assert await log(database, limit=9) == []
    url += "&options=-c%20work_mem%3D8MB"
    async with open_database(url, size=1, pooling=pooling) as database:
        with pytest.raises(EndedBySetting, match="setting work_mem is in the way"):
            await log(database, limit=9)


async def test_a_migration_goes_through_a_pooler_and_a_rebuild_asks_for_the_server_itself(
    servers: EmbeddedServers, bouncer: Bouncer, pooling: Pooling
) -> None:
    name = f"through_{pooling.replace('-', '_')}"
    await create_database(servers, name)
    async with dropped_afterwards(servers, name) as clone:
        owner = bouncer.through(clone.owner)
        url = bouncer.through(clone.worker)
        async with open_database(url, size=1, pooling=pooling, writes=True) as worker:
            with pytest.raises(Unreachable, match="amends migrate"):
                await first_partitions(worker)
        await asyncio.to_thread(migrate.upgrade, owner)
        assert (await clone.verify()).findings == []
        with pytest.raises(Pooled, match="AMENDS_MIGRATION_URL"):
            await rebuild(owner, "agents")


async def test_processes_verify_the_same_moment_through_a_pooler(
    servers: EmbeddedServers, session_folder: Path, clone: Clone
) -> None:
    async with open_database(clone.worker, size=1) as database:
        await writing.register(database)
    # One session each, and one for the moment.
    folder = session_folder / "verifying"
    async with pgbouncer(servers, folder, default_pool_size=3) as bouncer:
        url = bouncer.through(clone.auditor)
        async with open_database(url, size=2, pooling="transaction") as database:
            verified = await verify(database, processes=2)
    assert (verified.events, verified.findings) == (1, [])


async def test_prepared_statements_without_a_pooler_that_has_them_name_the_setting(
    servers: EmbeddedServers, session_folder: Path, clone: Clone
) -> None:
    folder = session_folder / "without"
    async with (
        pgbouncer(servers, folder, max_prepared_statements=0) as bouncer,
        open_database(bouncer.through(clone.worker), size=4, pooling="transaction") as database,
    ):
        with pytest.raises(EndedBySetting, match="AMENDS_DATABASE_POOLING"):
            await asyncio.gather(*(writing.register(database, f"b-{each}") for each in range(40)))


async def test_commands_answer_through_a_pooler_as_without_one_when_the_setting_says_so(
    filled_template: str,
    servers: EmbeddedServers,
    bouncer: Bouncer,
    pooling: Pooling,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = servers.ledger_url("amends_auditor", filled_template)
    monkeypatch.setenv("AMENDS_AUDIT_URL", url)
    direct = await answers(capsys)
    monkeypatch.setenv("AMENDS_AUDIT_URL", bouncer.through(url))
    monkeypatch.setenv("AMENDS_DATABASE_POOLING", pooling)
    assert await answers(capsys) == direct
    monkeypatch.setenv("AMENDS_DATABASE_POOLING", "statement")
    assert await asyncio.to_thread(run, ["verify"]) == 2
    assert "AMENDS_DATABASE_POOLING is not one of session, " in capsys.readouterr().err


async def test_a_pooler_in_session_mode_needs_no_setting(
    servers: EmbeddedServers, session_folder: Path, clone: Clone
) -> None:
    async with (
        pgbouncer(servers, session_folder / "in-session-mode", pool_mode="session") as bouncer,
        open_database(bouncer.through(clone.worker), size=2, writes=True) as database,
    ):
        await asyncio.gather(*(writing.register(database, f"bot-{each}") for each in range(9)))
        async with database.connection() as connection:
            assert await found(connection, OF_WRITERS) == OF_WRITERS
