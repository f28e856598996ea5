"""Snapshots spare readers work and never change an answer."""

import asyncio
from collections.abc import Iterator
from dataclasses import astuple, replace
from typing import Any

from psycopg import AsyncConnection

from ledger.aggregates.agent import AGENT, AgentRegistered, AgentState
from ledger.aggregates.policy import POLICY
from ledger.audit.cross_checks import wrong_snapshots
from ledger.database import Database
from ledger.read.cursors import reading
from ledger.read.fold import Folded, fold
from ledger.read.point_in_time import Point
from ledger.read.snapshot_writer import _DUE as DUE
from ledger.read.snapshot_writer import Made, SnapshotMaker
from ledger.read.snapshots import EVERY, fingerprint
from tests.ledger.conftest import Clone
from tests.ledger.writing import BOT, write

ALL = 2 * EVERY + 50
EARLIER = "\"timestamp\" = now() - interval '1 day'"
VERSIONS = "SELECT version FROM ledger.snapshots ORDER BY version"


async def register_often(database: Database, times: int, first: int = 1) -> None:
    """As many events of the agent, each with another user."""
    numbers = range(first, first + times)
    events = [AgentRegistered(agent_id="expense-bot", user=f"u-{number}") for number in numbers]
    await write(database, BOT, *events)


async def folded(database: Database, version: int | None = None) -> Folded:
    """The agent as it is, or was after so many events. Nothing else is in the log."""
    at = Point(position=version) if version is not None else None
    async with reading(database) as connection:
        found = await fold(connection, BOT, at)
    assert found is not None
    return found


async def make(database: Database) -> Made:
    """Snapshots of every second version."""
    return await SnapshotMaker(database, every=2).make()


class TestAReader:
    async def test_reads_only_what_came_after_the_newest_snapshot(self, ledger: Database) -> None:
        await register_often(ledger, ALL)
        versions = (EVERY - 1, EVERY, EVERY + 20, ALL)
        without = [await folded(ledger, version) for version in versions]
        assert await SnapshotMaker(ledger).make() == Made(written=2)
        with_them = [await folded(ledger, version) for version in versions]
        assert [each.read for each in without] == list(versions)
        assert [each.read for each in with_them] == [EVERY - 1, 0, 20, 50]
        assert [replace(each, read=0) for each in with_them] == [
            replace(each, read=0) for each in without
        ]
        assert (await folded(ledger)).read == 50
        assert isinstance(with_them[2].state, AgentState)
        assert with_them[2].state.user == f"u-{EVERY + 20}"

    async def test_folds_from_the_beginning_where_log_and_fold_do_not_bear_a_snapshot_out(
        self, clone: Clone, database: Database
    ) -> None:
        await register_often(database, 3)
        for damage in ("hash = sha256('x')", "fold = 'x'", "state = '{\"user\": 7}'", EARLIER):
            await made_again(clone, database)
            assert (await folded(database)).read == 1
            await clone.damage(f"UPDATE ledger.snapshots SET {damage}")
            found = await folded(database)
            assert (found.read, found.version) == (3, 3), damage

    async def test_of_an_older_event_in_the_log_takes_no_snapshot_of_it(
        self, clone: Clone, database: Database
    ) -> None:
        """The last events were cut off past the rules: what is left of the log is what counts."""
        await register_often(database, 2)
        await make(database)
        await clone.damage("DELETE FROM ledger.event_log WHERE version = 2")
        assert (await folded(database)).version == 1


class TestTheMaker:
    async def test_goes_on_from_what_it_folded_and_has_nothing_to_do_twice(
        self, clone: Clone, ledger: Database
    ) -> None:
        maker = SnapshotMaker(ledger)
        await register_often(ledger, EVERY)
        assert await maker.make() == Made(written=1)
        assert await maker.make() == Made()
        await register_often(ledger, ALL - EVERY, EVERY + 1)
        assert await maker.make() == Made(written=1)
        assert await clone.fetch(VERSIONS) == [(EVERY,), (2 * EVERY,)]
        assert (await folded(ledger, 2 * EVERY)).state == AgentState(
            agent_id="expense-bot", user=f"u-{2 * EVERY}", state="active"
        )

    async def test_puts_right_what_it_finds_wrong_on_its_way_and_makes_those_of_an_older_fold_anew(
        self, clone: Clone, database: Database
    ) -> None:
        states = "SELECT aggregate, state, state->>'user' FROM ledger.snapshots ORDER BY version"
        await register_often(database, 4)
        assert await make(database) == Made(written=2)
        right = await clone.fetch(states)
        await clone.damage(
            'UPDATE ledger.snapshots SET state = \'{"user": "eve"}\' WHERE version = 2',
            "UPDATE ledger.snapshots SET aggregate = 'agent/x' WHERE version = 4",
        )
        await register_often(database, 2, 5)
        assert await make(database) == Made(written=3, corrected=2)
        *before, (_, _, newest) = await clone.fetch(states)
        assert (before, newest) == (right, "u-6")
        await clone.damage("UPDATE ledger.snapshots SET fold = 'old', state = '{}'")
        assert await make(database) == Made(written=3)
        folds = await clone.fetch("SELECT DISTINCT fold FROM ledger.snapshots")
        assert folds == [(fingerprint(AGENT),)]

    async def test_leaves_what_it_can_not_read_and_makes_the_others(
        self, clone: Clone, database: Database
    ) -> None:
        await register_often(database, 2)
        other = AgentRegistered(agent_id="z-bot", user="u")
        await write(database, "agent/z-bot", other, other)
        newer = "UPDATE ledger.event_log SET schema_version = 99 WHERE aggregate = "
        await clone.damage(f"{newer} '{BOT}'")
        maker = SnapshotMaker(database, every=2)
        assert [await maker.make(), await maker.make()] == [Made(written=1), Made()]
        assert await clone.fetch("SELECT aggregate FROM ledger.snapshots") == [("agent/z-bot",)]

    async def test_several_at_once_make_the_same(self, clone: Clone, ledger: Database) -> None:
        await register_often(ledger, 40)
        made = await asyncio.gather(*(make(ledger) for _ in range(4)))
        assert sum(each.written for each in made) == 20
        assert await clone.fetch(VERSIONS) == [(version,) for version in range(2, 41, 2)]

    async def test_looks_for_what_is_due_by_its_index_alone(self, clone: Clone) -> None:
        """The server may use the index only while its condition is the one of the query."""
        of_partitions = await clone.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            "WHERE inhparent = 'ledger.event_log_milestones'::regclass"
        )
        milestones = {str(name).removeprefix("ledger.") for (name,) in of_partitions}
        assert milestones
        assert await indexes_of_the_log(clone, EVERY) <= milestones
        assert not await indexes_of_the_log(clone, EVERY + 1) <= milestones


async def indexes_of_the_log(clone: Clone, every: int) -> set[str]:
    """The indexes by which the log is read, where reading all of a partition costs too much."""
    values = {"aggregate_types": ["agent"], "folds": ["fold"]}
    async with await AsyncConnection.connect(clone.auditor) as connection:
        await connection.execute("SET enable_seqscan = off")
        text = ("EXPLAIN (FORMAT JSON) " + DUE.format(every=every)).encode()
        row = await (await connection.execute(text, values)).fetchone()
    assert row is not None
    used = {
        str(node.get("Index Name", "none"))
        for node in nodes_of(row[0][0]["Plan"])
        if str(node.get("Relation Name")).startswith("event_log")
    }
    assert used
    return used


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield node
    for below in node.get("Plans", []):
        yield from nodes_of(below)


async def made_again(clone: Clone, database: Database, *damage: str) -> None:
    """All snapshots made, and then damaged."""
    await clone.damage("DELETE FROM ledger.snapshots")
    await make(database)
    await clone.damage(*damage)


async def test_a_snapshot_of_another_aggregate_is_not_used(
    clone: Clone, database: Database
) -> None:
    await register_often(database, 2)
    await make(database)
    await clone.damage(
        "UPDATE ledger.snapshots SET state = jsonb_set(state, '{agent_id}', '\"victim\"')"
    )
    state = (await folded(database, 2)).state
    assert isinstance(state, AgentState)
    assert state.agent_id == "expense-bot"
    assert [each.kind for each in (await clone.verify()).findings] == ["snapshot"]


async def test_every_wrong_snapshot_is_found_and_no_other(clone: Clone, database: Database) -> None:
    await register_often(database, 4)
    change = "UPDATE ledger.snapshots SET"
    found: dict[str, list[tuple[object, ...]]] = {
        f"{change} made_at = '2020-01-01'": [],
        # What another fold made says nothing about this one.
        f"{change} state = '{{}}', fold = 'old'": [],
        f"{change} \"timestamp\" = '2020-01-01' WHERE version = 4": [(BOT, 4, ("timestamp",))],
        f"{change} state = '{{}}' WHERE version = 2": [(BOT, 2, ("state",))],
        f"{change} hash = sha256('x')": [(BOT, 2, ("hash",)), (BOT, 4, ("hash",))],
        f"{change} version = 5 WHERE version = 4": [(BOT, 5, ())],
        f"{change} aggregate = 'agent/x' WHERE version = 2": [("agent/x", 2, ("aggregate_id",))],
        # What can't be replayed is a finding of its own.
        "UPDATE ledger.event_log SET schema_version = 99 WHERE version = 1": [],
    }
    for damage, wrong in found.items():
        await made_again(clone, database, damage)
        async with reading(database) as connection:
            assert [astuple(each) async for each in wrong_snapshots(connection)] == wrong, damage


def test_another_state_or_another_file_is_another_fold() -> None:
    class Moody(AgentState):
        mood: str = "good"

    others = [replace(AGENT, state=Moody), replace(AGENT, evolve=POLICY.evolve), POLICY]
    assert len({fingerprint(aggregate_type) for aggregate_type in (AGENT, *others)}) == 4
