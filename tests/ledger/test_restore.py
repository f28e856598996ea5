"""A ledger that was dumped and restored into another cluster, where transaction ids begin anew."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection

from ledger.audit.verify import verify
from ledger.database import Database, open_database
from ledger.errors import StateRefused
from ledger.migrations import upgrade as migrate
from ledger.read.global_order import START, Token
from ledger.read.log import LoggedEvent, Wanted, log
from ledger.read.subscription import Follower
from tests.ledger.conftest import Clone
from tests.ledger.test_log import place
from tests.ledger.writing import BOT, register, revoke, sqlstate
from tests.support.commit_gate import commit_gate
from worker.embedded import databases
from worker.embedded.postgres import Cluster, programs
from worker.embedded.servers import EmbeddedServers

# Far beyond the transactions of a new cluster.
_USE_UP = """DO $$ BEGIN
    FOR number IN 1 .. 5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP;
END $$"""
_LIVES = "SELECT incarnation, restored_position FROM ledger.incarnations ORDER BY 1"
# What a dump brings to another cluster: the identity of the one it was written in.
_FROM_ELSEWHERE = "UPDATE ledger.incarnations SET system_identifier = 1"


@dataclass(frozen=True)
class Restored:
    """The same ledger in another cluster, and what the old one had given out."""

    worker: str
    auditor: str
    before: list[LoggedEvent]


@pytest.fixture(scope="module")
async def other_cluster(servers: EmbeddedServers) -> AsyncIterator[Cluster]:
    """A new cluster with the roles of a ledger."""
    password = servers.passwords["postgres"]
    cluster = Cluster("restored", servers.folder, servers.ports, password, durable=False)
    await cluster.start()
    await databases.create_main(cluster.url(), servers.passwords)
    yield cluster
    await cluster.stop()


@pytest.fixture
async def restored(
    servers: EmbeddedServers, other_cluster: Cluster, clone: Clone, ledger: Database, tmp_path: Path
) -> Restored:
    async with await AsyncConnection.connect(clone.superuser, autocommit=True) as connection:
        await connection.execute(_USE_UP)
    for number in range(4):
        await register(ledger, f"bot-{number}")
    await register(ledger)
    dump = str(tmp_path / "ledger.dump")
    target = other_cluster.url(database=databases.LEDGER_DATABASE)
    await _run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={clone.superuser}")
    await _run("pg_restore", "--exit-on-error", f"--dbname={target}", dump)
    worker, auditor = (
        other_cluster.url(role, servers.passwords[role], databases.LEDGER_DATABASE)
        for role in ("amends_worker", "amends_auditor")
    )
    return Restored(worker, auditor, await log(ledger, limit=99))


async def _run(program: str, *arguments: str) -> None:
    command = [str(programs() / program), *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


async def take(database: Database, after: Token, number: int) -> list[LoggedEvent]:
    """The next events that a follower gives."""
    async with asyncio.timeout(60), aclosing(Follower(database, after=after).events()) as events:
        return [await anext(events) for _ in range(number)]


async def test_a_restored_ledger_goes_on_and_its_readers_with_it(restored: Restored) -> None:
    """One story, since a dump and restore takes its time."""
    async with open_database(restored.auditor, size=2) as auditor:
        await _check_before_it_is_recorded(auditor, restored.before)
        async with open_database(restored.worker, writes=True) as worker:
            await revoke(worker)
            await asyncio.gather(*(register(worker, f"new-bot-{number}") for number in range(6)))
        everything = await log(auditor, limit=99)
        old, new = everything[: len(restored.before)], everything[len(restored.before) :]
        assert old == restored.before
        assert len(new) == 7
        # The rule of one cluster would find nothing final here: the new ids are the lower ones.
        assert max(place(event).xid for event in new) < min(place(event).xid for event in old)

        assert await take(auditor, START, len(everything)) == everything
        for given, event in enumerate(everything[:-1], 1):
            assert await take(auditor, place(event), len(everything) - given) == everything[given:]
        await _check_pages(auditor, everything)
        assert (await verify(auditor)).findings == []


async def _check_before_it_is_recorded(database: Database, before: list[LoggedEvent]) -> None:
    """The log can be read, and nothing of it is called final."""
    unrecorded = await log(database, limit=99)
    assert [event.event_id for event in unrecorded] == [event.event_id for event in before]
    assert {event.token for event in unrecorded} == {None}
    with pytest.raises(StateRefused, match="amends migrate") as refused:
        await take(database, START, 1)
    assert refused.value.reason == "restore_not_recorded"


async def _check_pages(database: Database, everything: list[LoggedEvent]) -> None:
    for newest_first in (False, True):
        paged: list[LoggedEvent] = []
        after = None
        while page := await log(database, limit=4, after=after, newest_first=newest_first):
            paged += page
            after = place(page[-1])
        assert paged == (everything[::-1] if newest_first else everything)
    bot = [event for event in everything if event.aggregate == BOT]
    assert await log(database, Wanted(BOT), limit=99) == bot
    assert [event.version for event in bot] == [1, 2]


async def record(ledger: Database) -> None:
    async with ledger.connection() as connection:
        await connection.execute("SELECT ledger.record_incarnation()")


async def test_only_what_was_restored_elsewhere_begins_a_new_incarnation_and_they_are_only_added(
    clone: Clone, ledger: Database
) -> None:
    await register(ledger)
    await asyncio.to_thread(migrate.upgrade, clone.owner)
    assert await clone.fetch(_LIVES) == [(1, 0)]
    await clone.damage(_FROM_ELSEWHERE)
    for _ in range(2):
        await asyncio.to_thread(migrate.upgrade, clone.owner)
        assert await clone.fetch(_LIVES) == [(1, 0), (2, 1)]
    await clone.damage(_FROM_ELSEWHERE)
    # Of many that come at once one is written.
    await asyncio.gather(*(record(ledger) for _ in range(8)))
    assert await clone.fetch(_LIVES) == [(1, 0), (2, 1), (3, 1)]
    for change in (_FROM_ELSEWHERE, "DELETE FROM ledger.incarnations"):
        with pytest.raises(psycopg.Error) as refused:
            await clone.execute(clone.owner, change)
        assert sqlstate(refused.value) == "ZA002"


async def test_the_border_is_drawn_after_whatever_is_being_written(
    clone: Clone, ledger: Database
) -> None:
    """An event below the border that can be seen only later would be missed."""
    await clone.damage(_FROM_ELSEWHERE)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted"
    async with commit_gate(clone) as gate, asyncio.TaskGroup() as group:
        await gate.close(BOT)
        group.create_task(register(ledger))
        await gate.waited_at_by(1)
        group.create_task(record(ledger))
        async with asyncio.timeout(30):
            while True:
                if await clone.fetch(waiting) == [(1,)]:
                    break
                await asyncio.sleep(0.005)
        await gate.open(BOT)
    [event] = await log(ledger, limit=9)
    assert await clone.fetch(_LIVES) == [(1, 0), (2, event.position)]
