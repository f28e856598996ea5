"""The laws of a commit, whatever meets: races, repeats, and connections that die on the way."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.aggregates.agent import AgentRegistered, AgentRevoked, agent_name
from ledger.database import Database, open_database
from ledger.errors import DatabaseUnavailable, InputChanged
from ledger.sagas.orphans import declare_lost
from ledger.sagas.saga_log import open_saga
from ledger.sagas.step_log import StepClaim, commit_step
from ledger.store.commit import Decision, Loaded, Ref, commit
from tests.ledger.conftest import Clone
from tests.ledger.writing import (
    AUTHOR,
    BOT,
    claim,
    compensate,
    open_payment,
    opening,
    register,
    revoke,
    take_step,
    write,
)

KILL = """SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'amends_worker'"""


def kill_all(clone: Clone) -> None:
    """End every session of the worker on this ledger, and wait until they are gone."""
    with psycopg.connect(clone.superuser, autocommit=True) as connection:
        connection.execute(KILL)


def elsewhere(clone: Clone, act: Callable[[Database], Awaitable[None]]) -> None:
    """Let another worker act, in another thread, while ours stands still."""

    async def work() -> None:
        async with open_database(clone.worker, size=1) as database:
            await act(database)

    thread = Thread(target=asyncio.run, args=(work(),))
    thread.start()
    thread.join()


async def versions(clone: Clone) -> list[tuple[object, ...]]:
    return await clone.fetch("SELECT aggregate, version FROM ledger.event_log ORDER BY 1, 2")


async def repeated(work: Any) -> Any:
    """As Temporal does: again, until there is an answer. A dead pool has at most 24 sessions."""
    for _ in range(100):
        try:
            return await work()
        except DatabaseUnavailable:
            continue
    raise AssertionError("no answer after 100 tries")


REVOKING = Decision(None, [(BOT, AgentRevoked())])


@pytest.mark.parametrize("was_overtaken", [False, True])
async def test_a_session_that_dies_between_load_and_write_or_with_its_locks_writes_nothing(
    clone: Clone, ledger: Database, was_overtaken: bool
) -> None:
    await register(ledger)
    seen: list[int] = []

    def decide(loaded: Loaded) -> Decision[None]:
        seen.append(loaded.version(BOT))
        if was_overtaken and len(seen) == 1:
            elsewhere(clone, revoke)
        else:
            kill_all(clone)
        return REVOKING

    with pytest.raises(DatabaseUnavailable):
        await commit(ledger, AUTHOR, [Ref(BOT)], decide)
    assert seen == ([1, 2] if was_overtaken else [1])
    there = [(BOT, version) for version in seen]
    assert await versions(clone) == there
    await repeated(lambda: revoke(ledger))
    assert await versions(clone) == [*there, (BOT, len(there) + 1)]


async def test_a_session_that_dies_in_its_write_writes_nothing(
    clone: Clone, ledger: Database
) -> None:
    await register(ledger)
    async with await psycopg.AsyncConnection.connect(clone.superuser) as other:
        await other.execute("SELECT FROM ledger.agents FOR UPDATE")
        work = asyncio.create_task(revoke(ledger))
        await clone.until_waiting()
        await asyncio.to_thread(kill_all, clone)
        with pytest.raises(DatabaseUnavailable):
            await work
    assert await versions(clone) == [(BOT, 1)]
    await repeated(lambda: revoke(ledger))
    assert await versions(clone) == [(BOT, 1), (BOT, 2)]


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("writes", [BOT, "agent/zed"])
async def test_who_was_overtaken_decides_again_on_what_he_writes_or_stands_on_or_found_absent(
    clone: Clone, ledger: Database, writes: str, is_there: bool
) -> None:
    if is_there:
        await register(ledger)
    seen: list[str | None] = []

    def decide(loaded: Loaded) -> Decision[int]:
        seen.append(loaded[BOT] and loaded[BOT].state)
        if len(seen) == 1:
            elsewhere(clone, revoke if is_there else register)
        written = AgentRegistered(agent_id=writes.removeprefix("agent/"), user=f"user:{seen[-1]}")
        return Decision(loaded.version(BOT), [(writes, written)])

    refs = [Ref(BOT)] if writes == BOT else [Ref(BOT, "share"), Ref(writes)]
    version = await commit(ledger, AUTHOR, refs, decide)
    assert seen == (["active", "revoked"] if is_there else [None, "active"])
    assert version == (2 if is_there else 1)
    of_it = "SELECT version, payload->>'user' FROM ledger.event_log WHERE aggregate = %s"
    written = await clone.fetch(f"{of_it} ORDER BY version DESC LIMIT 1", writes)
    assert written == [(version + 1 if writes == BOT else 1, f"user:{seen[-1]}")]


async def test_no_step_lands_between_the_look_at_the_pivot_and_the_record_of_a_loss(
    clone: Clone, ledger: Database
) -> None:
    """The pivot is absent when it is looked for; its commit holds the saga while it lands."""
    await open_payment(ledger)
    async with await psycopg.AsyncConnection.connect(clone.superuser) as other:
        await other.execute("SELECT FROM ledger.sagas FOR UPDATE")
        # Waits for the saga's row, in the write of the first try or with its locks.
        settle = asyncio.create_task(take_step(ledger, claim("settle")))
        await clone.until_waiting()
        loss = asyncio.create_task(
            declare_lost(ledger, AUTHOR, "payment/rent", 1, "terminated", None, "settle")
        )
        await clone.until_waiting(2)
        await other.rollback()
        await settle
        await loss
    [(state,)] = await clone.fetch("SELECT state FROM ledger.sagas")
    assert state == "running"


async def test_who_waited_for_a_row_dates_his_events_after_those_that_held_it(
    clone: Clone, ledger: Database
) -> None:
    await open_payment(ledger)
    async with await psycopg.AsyncConnection.connect(clone.superuser) as other:
        await other.execute("SELECT FROM ledger.sagas FOR SHARE")
        turn = asyncio.create_task(compensate(ledger))
        await clone.until_waiting()
        # It holds the row for share, which is allowed, and ends before the other has it.
        await take_step(ledger)
        await other.rollback()
        await turn
    rows = await clone.fetch(
        "SELECT event_type FROM ledger.event_log WHERE version > 1 OR step IS NULL "
        'ORDER BY "timestamp"'
    )
    assert [name for (name,) in rows] == ["SagaStarted", "StepCommitted", "SagaCompensating"]


async def test_a_decision_that_was_frozen_before_its_write_is_made_again(ledger: Database) -> None:
    await register(ledger)
    seen: list[datetime] = []

    def decide(loaded: Loaded) -> Decision[None]:
        seen.append(loaded.now)
        if len(seen) == 1:
            # As if the worker had slept since it loaded.
            loaded._now = loaded.now - timedelta(seconds=6)
        return REVOKING

    await commit(ledger, AUTHOR, [Ref(BOT)], decide)
    assert len(seen) == 2


async def test_what_was_taken_for_new_and_is_not_is_loaded_and_nobody_is_refused_on_it(
    clone: Clone, ledger: Database
) -> None:
    await register(ledger)
    seen: list[object] = []

    def decide(loaded: Loaded) -> Decision[str]:
        seen.append(loaded[BOT] and loaded[BOT].state)
        again = AgentRegistered(agent_id="expense-bot", user="user:2")
        return Decision("written", [(BOT, again)])

    def refuse_without(loaded: Loaded) -> Decision[str]:
        if loaded[BOT] is None:
            raise LookupError("it is not there")
        return Decision("it is there")

    new = [Ref(BOT, new=True)]
    assert await commit(ledger, AUTHOR, new, refuse_without) == "it is there"
    assert await commit(ledger, AUTHOR, new, decide) == "written"
    assert seen == [None, "active"]
    assert await versions(clone) == [(BOT, 1), (BOT, 2)]


async def test_a_step_of_many_callers_is_done_once_and_of_two_inputs_one_is_refused(
    clone: Clone, ledger: Database
) -> None:
    await open_payment(ledger)

    async def call(number: int) -> dict[str, Any]:
        return await commit_step(ledger, AUTHOR, claim(), [], lambda _: Decision({"by": number}))

    results = await asyncio.gather(*map(call, range(12)))
    assert len({result["by"] for result in results}) == 1
    claims = [claim("pay", ordinal=2, input_hash=f"hash-{number % 2}") for number in range(12)]
    work = (take_step(ledger, each) for each in claims)
    answers = await asyncio.gather(*work, return_exceptions=True)
    assert Counter(type(answer) for answer in answers) == {dict: 6, InputChanged: 6}
    steps = "SELECT version, state FROM ledger.saga_steps"
    assert await clone.fetch(steps) == [(1, "done"), (1, "done")]


@asynccontextmanager
async def traced(clone: Clone, messages: Path) -> AsyncIterator[Database]:
    """One connection; libpq writes down its messages."""
    with messages.open("w") as stream:
        async with open_database(clone.worker, size=1) as database:
            async with database.connection() as connection:
                connection.pgconn.trace(stream.fileno())
            yield database


def waits(messages: Path) -> int:
    """How often the client has waited for the server so far."""
    lines = messages.read_text().splitlines()
    return sum(line.split("\t")[1:4:2] == ["F", "Sync"] for line in lines)


async def round_trips(messages: Path, work: Coroutine[Any, Any, Any]) -> int:
    before = waits(messages)
    await work
    return waits(messages) - before


@pytest.mark.skipif(sys.platform != "linux", reason="libpq traces on Linux only")
async def test_a_commit_is_two_round_trips_and_one_where_nothing_is_read(
    clone: Clone, ledger: Database, tmp_path: Path
) -> None:
    await open_payment(ledger)
    messages = tmp_path / "messages"
    async with traced(clone, messages) as database:

        async def step(number: int) -> None:
            await take_step(database, claim(f"step-{number}", ordinal=number + 1))

        async def new(number: int) -> None:
            name, event = f"agent/{number}", AgentRegistered(agent_id=f"{number}", user="user:u")
            decision = Decision(None, [(name, event)])
            await commit(database, AUTHOR, [Ref(name, new=True)], lambda _: decision)

        # The first of each kind also prepares its statements.
        for first in (step(0), new(0), register(database), revoke(database)):
            await first
        assert await round_trips(messages, step(1)) == 1
        assert await round_trips(messages, new(1)) == 1
        assert await round_trips(messages, revoke(database)) == 2


STEPS, AGENTS = 4, 2
ONE_LEDGER = [HealthCheck.function_scoped_fixture]
calls = st.lists(st.tuples(st.integers(0, STEPS - 1), st.booleans()), min_size=2, max_size=14)


@settings(max_examples=12, deadline=None, suppress_health_check=ONE_LEDGER)
@given(calls=calls, kills=st.integers(0, 6))
async def test_every_step_has_its_effect_once_whatever_dies(
    ledger: Database, clone: Clone, calls: list[tuple[int, bool]], kills: int
) -> None:
    run = uuid4().hex[:8]
    saga = f"payment/{run}"
    request = opening(run)
    await repeated(lambda: open_saga(ledger, AUTHOR, request))

    async def call(step: int, loads: bool) -> Any:
        agent = agent_name(f"{run}-{step % AGENTS}")
        event = AgentRegistered(agent_id=f"{run}-{step % AGENTS}", user=f"user:{step}")
        wanted = StepClaim(saga, f"step-{step}", step + 1, 1, "register", f"input-{step}")
        # Either way of asking for it: taken for new, or loaded.
        refs = [Ref(agent, new=not loads)]

        def decide(_: Loaded) -> Decision[dict[str, Any]]:
            return Decision({"by": uuid4().hex}, [(agent, event)])

        return step, await repeated(lambda: commit_step(ledger, AUTHOR, wanted, refs, decide))

    async def kill() -> None:
        for _ in range(kills):
            await asyncio.to_thread(kill_all, clone)

    _, *answers = await asyncio.gather(kill(), *(call(*given) for given in calls))
    results = {step: {answer["by"] for s, answer in answers if s == step} for step, _ in answers}
    assert all(len(found) == 1 for found in results.values())
    effects = await clone.fetch(
        "SELECT payload->>'user' FROM ledger.event_log WHERE saga_id IS NULL "
        "AND aggregate LIKE %s ORDER BY 1",
        f"agent/{run}-%",
    )
    assert effects == [(f"user:{step}",) for step in sorted(results)]


async def test_n_committers_on_one_aggregate_all_land_in_one_order(
    clone: Clone, ledger: Database
) -> None:
    await register(ledger)
    events = [AgentRegistered(agent_id="expense-bot", user=f"u-{n}") for n in range(24)]
    await asyncio.gather(*(write(ledger, BOT, event) for event in events))
    said = "SELECT version, payload->>'user' FROM ledger.event_log ORDER BY position"
    rows = await clone.fetch(said)
    assert [version for version, _ in rows] == list(range(1, 26))
    assert {user for _, user in rows[1:]} == {f"u-{n}" for n in range(24)}
