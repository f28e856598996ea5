"""What `show --at` costs on a short aggregate and on a long one."""

import random
import statistics
import time
from uuid import uuid4

from ledger.aggregates.agent import AgentRegistered, agent_name
from ledger.database import Database
from ledger.read.point_in_time import Point
from ledger.read.show import show
from ledger.read.snapshot_writer import SnapshotMaker
from ledger.store.commit import Author, Decision, Ref, commit

SHORT, LONG = 100, 10_000
_TIMES = 60
_AT_ONCE = 500
_POSITIONS = """
    SELECT position FROM ledger.event_log WHERE aggregate = %(aggregate)s
        AND position > %(before)s ORDER BY version"""
_NEWEST = "SELECT coalesce(max(position), 0) AS position FROM ledger.event_log"


async def show_at(database: Database) -> tuple[float, float]:
    """Milliseconds (median) of `show` at random positions of an aggregate of SHORT events, and of
    one of LONG events that has its snapshots."""
    short, long = await _fill(database, SHORT), await _fill(database, LONG)
    await SnapshotMaker(database).make()
    times: dict[str, list[float]] = {short[0]: [], long[0]: []}
    # In turn, so that both meet the same machine.
    for _ in range(_TIMES):
        for aggregate, positions in (short, long):
            at = Point(position=random.choice(positions))
            began = time.perf_counter()
            await show(database, aggregate, at)
            times[aggregate].append((time.perf_counter() - began) * 1000)
    return statistics.median(times[short[0]]), statistics.median(times[long[0]])


async def _fill(database: Database, events: int) -> tuple[str, list[int]]:
    """A new aggregate with so many events, and their positions."""
    agent_id = f"bench-{uuid4().hex[:8]}"
    name = agent_name(agent_id)
    async with database.connection() as connection:
        [newest] = await (await connection.execute(_NEWEST)).fetchall()
    for first in range(0, events, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, events))
        made = [(name, AgentRegistered(agent_id=agent_id, user=f"user:{n}")) for n in numbers]
        await _append(database, name, Decision(None, made))
    async with database.connection() as connection:
        values = {"aggregate": name, "before": newest["position"]}
        rows = await (await connection.execute(_POSITIONS, values)).fetchall()
    return name, [row["position"] for row in rows]


async def _append(database: Database, name: str, decision: Decision[None]) -> None:
    await commit(database, Author("user:bench"), [Ref(name)], lambda _: decision)
