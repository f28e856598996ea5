"""Following the log: each event once, none missed, in the order that it has."""

import asyncio
import random
from collections import defaultdict
from contextlib import aclosing, suppress

import pytest
from psycopg import AsyncConnection
from psycopg.errors import SerializationFailure

from ledger.aggregates.agent import agent_name
from ledger.database import Database, open_database
from ledger.errors import DatabaseUnavailable
from ledger.read import subscription as follow
from ledger.read.global_order import START, Token
from ledger.read.log import LoggedEvent, Wanted, log
from ledger.read.subscription import Follower, announce
from tests.ledger.conftest import Clone
from tests.ledger.writing import BOT, open_payment, register, revoke
from tests.support.commit_gate import Gate, commit_gate
from tests.support.tcp_gate import tcp_gate

LONG_S = 3600.0
FOLLOWER = "application_name=follower"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers look often and connect again at once; only what is broken takes long."""
    for name in ("LOOK_EVERY_S", "LOOK_AGAIN_S", "RECONNECT_AFTER_S"):
        monkeypatch.setattr(follow, name, 0.01)


async def take(follower: Follower, number: int) -> list[LoggedEvent]:
    """The next events; then the follower is stopped."""
    async with asyncio.timeout(60), aclosing(follower.events()) as events:
        return [await anext(events) for _ in range(number)]


async def moved(follower: Follower, token: Token | None) -> None:
    """Return as soon as the follower's token is another one."""
    async with asyncio.timeout(30):
        while True:
            if follower.token != token:
                return
            await asyncio.sleep(0.005)


class Listener(list[str]):
    """What a follower tells a person."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.append(line)
        self.told.set()


async def test_what_was_written_comes_first_and_without_a_token_only_what_is_written_from_now_on(
    ledger: Database,
) -> None:
    await register(ledger)
    everything, since_now = Follower(ledger, after=START), Follower(ledger)
    async with asyncio.TaskGroup() as group:
        newest = group.create_task(take(since_now, 1))
        await moved(since_now, None)
        async with aclosing(everything.events()) as events:
            given = [await anext(events)]
            await revoke(ledger)
            given.append(await anext(events))
    assert given == await log(ledger, limit=9)
    assert newest.result() == given[1:]


async def test_events_wait_for_an_older_transaction_and_come_after_what_it_wrote(
    clone: Clone, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PATIENCE_S", 0)
    slow_bot, listener = agent_name("slow-bot"), Listener()
    follower = Follower(ledger, after=START, tell=listener)
    async with commit_gate(clone) as gate, asyncio.TaskGroup() as group:
        await gate.close(slow_bot)
        group.create_task(register(ledger, "slow-bot"))
        await gate.waited_at_by(1)
        await register(ledger, "quick-bot")
        given = group.create_task(take(follower, 2))
        await listener.told.wait()
        assert follower.token is not None
        [seen] = await log(ledger, limit=9)
        assert seen.token is None
        assert not given.done()
        await gate.open(slow_bot)
    assert [event.aggregate for event in given.result()] == [slow_bot, "agent/quick-bot"]


async def test_a_version_is_never_written_by_an_older_transaction_than_the_one_before_it(
    clone: Clone, ledger: Database
) -> None:
    """Else the order of transactions, which a follower keeps, would not be that of versions."""
    update = "UPDATE ledger.agents SET version = 2, head_at = clock_timestamp()"
    async with await AsyncConnection.connect(clone.worker) as older:
        await older.execute("SELECT pg_current_xact_id()")
        await register(ledger)
        with pytest.raises(SerializationFailure, match="try again"):
            await older.execute(update)


async def test_it_says_who_holds_it_up_also_from_another_database(
    clone: Clone, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PATIENCE_S", 0)
    listener = Listener()
    elsewhere = f"{clone.superuser} dbname=postgres application_name=month-end"
    async with await AsyncConnection.connect(elsewhere) as older:
        await older.execute("SELECT pg_current_xact_id()")
        who = f"process {older.info.backend_pid} (month-end) of postgres in postgres"
        await register(ledger)
        async with asyncio.TaskGroup() as group, open_database(clone.auditor, size=1) as auditor:
            given = group.create_task(take(Follower(auditor, after=START, tell=listener), 1))
            await listener.told.wait()
            await older.rollback()
            await given
    assert len(listener) == 1
    assert listener[0].endswith(f"an older transaction: {who}")


async def test_it_is_woken_by_the_writers_process_and_seldom_by_many_commits(
    ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LOOK_EVERY_S", LONG_S)
    announcing = asyncio.create_task(announce(ledger))
    follower = Follower(ledger, after=START)
    async with asyncio.timeout(60), aclosing(follower.events()) as events:
        for number in range(3):
            await register(ledger, f"bot-{number}")
            assert (await anext(events)).aggregate == f"agent/bot-{number}"
    async with ledger.connection() as connection:
        await connection.execute("LISTEN amends_events")
        for _ in range(20):
            await register(ledger)
        async for _ in connection.notifies(timeout=60, stop_after=1):
            pass
        woken = [note async for note in connection.notifies(timeout=0)]
        await connection.execute("UNLISTEN *")
    announcing.cancel()
    assert len(woken) < 19


async def test_it_goes_on_where_it_was_stopped_and_its_connection_listens_no_more(
    clone: Clone, ledger: Database
) -> None:
    for number in range(9):
        await register(ledger, f"bot-{number}")
    given: list[LoggedEvent] = []
    token: Token | None = START
    async with open_database(clone.worker, size=1) as database:
        for number in (1, 3, 2, 3):
            follower = Follower(database, after=token)
            given += await take(follower, number)
            token = follower.token
            assert str(token) == given[-1].token
        async with database.connection() as connection:
            listening = await connection.execute("SELECT pg_listening_channels()")
            assert await listening.fetchall() == []
    assert given == await log(ledger, limit=99)


async def test_only_what_is_wanted_comes_and_the_token_moves_over_the_rest(
    ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PAGE", 2)
    await register(ledger)
    await open_payment(ledger)
    for number in range(5):
        await register(ledger, f"bot-{number}")
    await revoke(ledger)
    follower = Follower(ledger, Wanted(BOT), after=START)
    given = await take(follower, 2)
    assert [event.event_type for event in given] == ["AgentRegistered", "AgentRevoked"]
    last = follower.token
    for number in range(5):
        await register(ledger, f"bot-{number}")
    async with asyncio.TaskGroup() as group:
        more = group.create_task(take(follower, 1))
        await moved(follower, last)
        await revoke(ledger)
    assert [event.version for event in more.result()] == [3]


async def test_a_lost_connection_is_made_again_and_nothing_comes_twice(
    clone: Clone, ledger: Database
) -> None:
    listener = Listener()
    async with open_database(f"{clone.auditor}&{FOLLOWER}", size=1) as auditor:
        follower = Follower(auditor, after=START, tell=listener)
        async with asyncio.timeout(60), aclosing(follower.events()) as events:
            for number in range(3):
                await register(ledger, f"bot-{number}")
                assert (await anext(events)).aggregate == f"agent/bot-{number}"
                await clone.execute(clone.superuser, _CUT_OFF)
    assert len(listener) == 2
    assert "the connection was lost" in listener[0]


_CUT_OFF = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'follower'"""


async def test_a_server_that_hangs_is_told_of_and_the_events_come_when_it_answers(
    clone: Clone, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    async with tcp_gate(clone.auditor) as gate, open_database(gate.url, size=1) as auditor:
        follower = Follower(auditor, after=START, tell=listener)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            given = group.create_task(take(follower, 1))
            await moved(follower, START)
            monkeypatch.setattr(follow, "ANSWERS_WITHIN_S", 0.2)
            gate.stick()
            await register(ledger)
            await listener.told.wait()
            await gate.open()
        assert given.result() == await log(ledger, limit=9)
    assert listener == ["the database has not answered for 0.2 s; waiting for the answer"]


async def test_a_server_that_was_never_reached_is_an_error() -> None:
    async with open_database("postgresql://nobody@127.0.0.1:1/x", size=1, wait_s=0.1) as nowhere:
        with pytest.raises(DatabaseUnavailable):
            await take(Follower(nowhere), 1)


AGENTS = [agent_name(f"bot-{number}") for number in range(5)]
WRITERS, COMMITS = 6, 10


async def _write(ledger: Database, chance: random.Random) -> None:
    for _ in range(COMMITS):
        await register(ledger, chance.choice(AGENTS).removeprefix("agent/"))


async def _hold_open(
    clone: Clone, gate: Gate, chance: random.Random, enough: asyncio.Event
) -> None:
    """Transactions end in another order than they began in, and followers are cut off."""
    while not enough.is_set():
        held = chance.sample(AGENTS, 2)
        for aggregate in held:
            await gate.close(aggregate)
        async with await AsyncConnection.connect(clone.worker) as idle:
            await idle.execute("SELECT pg_current_xact_id()")
            await asyncio.sleep(chance.uniform(0, 0.05))
            for aggregate in chance.sample(held, 2):
                await gate.open(aggregate)
                await asyncio.sleep(chance.uniform(0, 0.02))
            if chance.random() < 0.3:
                await clone.execute(clone.superuser, _CUT_OFF)


async def _follow(clone: Clone, chance: random.Random) -> list[LoggedEvent]:
    """Stopped and begun again at any point."""
    given: list[LoggedEvent] = []
    token: Token | None = START
    while (left := WRITERS * COMMITS - len(given)) > 0:
        async with open_database(f"{clone.auditor}&{FOLLOWER}", size=1) as auditor:
            # Cut off while it connects for the first time, it begins anew.
            with suppress(DatabaseUnavailable):
                follower = Follower(auditor, after=token)
                given += await take(follower, min(chance.randint(1, 15), left))
                token = follower.token
    return given


@pytest.mark.parametrize("seed", range(4))
async def test_each_event_comes_once_and_versions_ascend_whatever_commits_when(
    clone: Clone, ledger: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(follow, "PAGE", 4)
    chance, enough = random.Random(seed), asyncio.Event()
    async with commit_gate(clone) as gate, asyncio.TaskGroup() as group:
        group.create_task(_hold_open(clone, gate, chance, enough))
        following = group.create_task(_follow(clone, chance))
        writing = [group.create_task(_write(ledger, chance)) for _ in range(WRITERS)]
        await asyncio.wait(writing)
        enough.set()
    given = following.result()
    assert given == await log(ledger, limit=1000)
    versions = defaultdict(list)
    for event in given:
        versions[event.aggregate].append(event.version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
