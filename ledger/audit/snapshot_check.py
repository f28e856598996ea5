"""Holds every snapshot against the log: what `verify` asks of a cache."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from ledger.aggregates.aggregate import State, UnknownEvent, aggregate_id
from ledger.aggregates.registry import NOUNS
from ledger.database import Connection
from ledger.errors import LogDamaged
from ledger.read.fold import event_in, events_of
from ledger.read.snapshots import differing

_AGGREGATES = "SELECT DISTINCT aggregate_id, aggregate FROM ledger.snapshots ORDER BY aggregate"
_STANDING = """
    SELECT * FROM ledger.snapshots
    WHERE aggregate_id = %(aggregate_id)s AND aggregate = %(aggregate)s"""


@dataclass(frozen=True)
class WrongSnapshot:
    """A snapshot that is not what the log says. `differs`: its columns that are wrong, or none if
    the log has no such event. A reader would have used it only if `state` alone is among them."""

    aggregate: str
    version: int
    differs: tuple[str, ...]


async def wrong_snapshots(connection: Connection) -> AsyncGenerator[WrongSnapshot, None]:
    """All snapshots that are wrong, by aggregate and version; each aggregate is folded once.

    The connection is in a transaction that sees one moment. What can't be replayed is not judged.
    """
    for found in await (await connection.execute(_AGGREGATES)).fetchall():
        cursor = await connection.execute(_STANDING, found)
        standing = {row["version"]: row for row in await cursor.fetchall()}
        name = found["aggregate"]
        if found["aggregate_id"] != aggregate_id(name):
            for version in sorted(standing):
                yield WrongSnapshot(name, version, ("aggregate_id",))
        elif name.split("/", 1)[0] in NOUNS:
            async with aclosing(_wrong(connection, name, standing)) as wrong:
                async for snapshot in wrong:
                    yield snapshot


async def _wrong(
    connection: Connection, aggregate: str, standing: dict[int, dict[str, object]]
) -> AsyncGenerator[WrongSnapshot, None]:
    noun = NOUNS[aggregate.split("/", 1)[0]]
    state: State | None = None
    async with aclosing(events_of(connection, aggregate)) as events:
        async for event in events:
            try:
                state = noun.evolve(state, event_in(noun, event))
            except (UnknownEvent, LogDamaged, ValueError):
                return
            snapshot = standing.pop(event["version"], None)
            if snapshot is not None and (differs := differing(snapshot, event, state)):
                yield WrongSnapshot(aggregate, event["version"], tuple(differs))
    for version in sorted(standing):
        yield WrongSnapshot(aggregate, version, ())
