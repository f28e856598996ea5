"""Writes snapshots beside the hot path, and checks existing ones against the fold on the way."""

import logging
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger.aggregates.aggregate import State, UnknownEvent, aggregate_id
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.database import Connection, Database
from ledger.errors import LogDamaged
from ledger.read.cursors import Row, reading
from ledger.read.fold import event_in, events_of, known_aggregate_type
from ledger.read.snapshots import EVERY, differing, fingerprint, keep

log = logging.getLogger("amends.ledger")

# Of so many aggregates one process remembers how far it has folded them.
_REMEMBERED = 10_000

# The condition is the index's own: only one event in 200 is looked at.
_DUE = """
    SELECT DISTINCT aggregate
    FROM ledger.event_log
    JOIN unnest(%(aggregate_types)s::text[], %(folds)s::text[]) AS known (aggregate_type, fold)
        ON aggregate_type = split_part(aggregate, '/', 1)
    WHERE version %% {every} = 0 AND NOT EXISTS (
        SELECT FROM ledger.snapshots AS made
        WHERE made.aggregate_id = event_log.aggregate_id AND made.version = event_log.version
            AND made."timestamp" = event_log."timestamp" AND made.hash = event_log.hash
            AND made.fold = known.fold)
    ORDER BY aggregate
"""
_OF_AGGREGATE = "SELECT * FROM ledger.snapshots WHERE aggregate_id = %(aggregate_id)s"


@dataclass(frozen=True)
class Made:
    """The number of snapshots written, and how many of them replaced a wrong one."""

    written: int = 0
    corrected: int = 0


@dataclass(frozen=True)
class _Reached:
    """The point up to which this process has folded an aggregate itself, from its first event
    on."""

    version: int
    timestamp: datetime
    state: State


class SnapshotMaker:
    """Writes the snapshots that are due, at each call. Several may run at once: they write the
    same.

    An aggregate is folded from its first event once per process, and every snapshot of it that
    stands is compared on the way and written over where it is wrong; after that the maker goes on
    from what it folded itself, never from a snapshot.
    """

    def __init__(self, database: Database, every: int = EVERY) -> None:
        """`every`: after how many events; the index is for the default alone."""
        self._database, self._every = database, every
        self._reached: dict[UUID, _Reached] = {}
        self._left: set[str] = set()

    async def make(self) -> Made:
        """Writes the snapshots that are missing. Raises DatabaseUnavailable."""
        written = corrected = 0
        for aggregate in await self._due():
            try:
                made = await self._make(aggregate)
            except (UnknownEvent, LogDamaged, ValueError) as error:
                # A newer version of Amends makes it; this one would fail on it each time.
                self._left.add(aggregate)
                log.warning(
                    "no snapshot of %s, its events can't be folded: %s",
                    aggregate,
                    type(error).__name__,
                )
                continue
            written, corrected = written + made.written, corrected + made.corrected
        return Made(written, corrected)

    async def _due(self) -> list[str]:
        folds = {
            name: fingerprint(aggregate_type) for name, aggregate_type in AGGREGATE_TYPES.items()
        }
        values = {"aggregate_types": list(folds), "folds": list(folds.values())}
        async with self._database.connection() as connection:
            cursor = await connection.execute(_DUE.format(every=self._every), values)
            due = [row["aggregate"] for row in await cursor.fetchall()]
        return [aggregate for aggregate in due if aggregate not in self._left]

    async def _make(self, aggregate: str) -> Made:
        aggregate_type, id = known_aggregate_type(aggregate), aggregate_id(aggregate)
        start = self._reached.pop(id, None)
        state, version, since = (
            (start.state, start.version, start.timestamp) if start else (None, 0, None)
        )
        written = corrected = 0
        async with reading(self._database) as connection:
            standing = await _standing(connection, id)
            async with aclosing(events_of(connection, aggregate, None, version, since)) as events:
                async for event in events:
                    state = aggregate_type.evolve(state, event_in(aggregate_type, event))
                    old = standing.get(event["version"])
                    wrong = bool(old and differing(old, event, state))
                    if event["version"] % self._every == 0 or wrong:
                        written += await self._keep(aggregate, event, state)
                    if wrong:
                        corrected += 1
                        log.warning("replaced a wrong snapshot of %s", aggregate)
                    if event["version"] % self._every == 0:
                        start = _Reached(event["version"], event["timestamp"], state)
        if start is not None:
            self._remember(id, start)
        return Made(written, corrected)

    async def _keep(self, aggregate: str, event: Row, state: State) -> int:
        async with self._database.connection() as connection:
            return await keep(connection, aggregate, event, state)

    def _remember(self, id: UUID, reached: _Reached) -> None:
        self._reached[id] = reached
        if len(self._reached) > _REMEMBERED:
            self._reached.pop(next(iter(self._reached)))


async def _standing(connection: Connection, id: UUID) -> dict[int, Row]:
    cursor = await connection.execute(_OF_AGGREGATE, {"aggregate_id": id})
    return {row["version"]: row for row in await cursor.fetchall()}
