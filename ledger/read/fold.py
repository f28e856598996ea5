"""Folds one aggregate from its events, up to a point, starting from its newest snapshot."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.aggregates.aggregate import AggregateType, Event, State, aggregate_id
from ledger.aggregates.names import NAMED, aggregate_type_of
from ledger.database import Connection
from ledger.errors import LogDamaged, NotFound, NotThere
from ledger.read.cursors import Row, rows
from ledger.read.points import Point
from ledger.read.snapshots import newest_snapshot

_EVENTS = """
    SELECT * FROM ledger.event_log
    WHERE aggregate_id = %(aggregate_id)s AND version > %(after)s"""
_FIRST = """
    SELECT position, "timestamp" FROM ledger.event_log WHERE aggregate_id = %(aggregate_id)s
    ORDER BY version LIMIT 1"""


@dataclass(frozen=True)
class Folded:
    """The state after `version` events, the last of which was at `head_at`; `read` of them were
    read, the others are in the snapshot that the fold started from."""

    aggregate_type: AggregateType
    state: State
    version: int
    head_at: datetime
    read: int


async def fold(connection: Connection, aggregate: str, at: Point | None = None) -> Folded | None:
    """Folds the aggregate up to the point, or to the connection's snapshot; None before its first
    event. Raises NotFound for a name without a known aggregate type, UnknownEvent for an event of a
    newer version, LogDamaged for one that can't be read."""
    aggregate_type = known_aggregate_type(aggregate)
    start = await newest_snapshot(connection, aggregate, at)
    state, version, head_at = (
        (start.state, start.version, start.timestamp) if start else (None, 0, None)
    )
    read = 0
    async with aclosing(events_of(connection, aggregate, at, version, head_at)) as events:
        async for event in events:
            state = aggregate_type.evolve(state, event_in(aggregate_type, event))
            version, head_at = event["version"], event["timestamp"]
            read += 1
    if state is None or head_at is None:
        return None
    return Folded(aggregate_type, state, version, head_at, read)


def event_in(aggregate_type: AggregateType, row: Row) -> Event:
    """The event in a row of the log. Raises UnknownEvent, LogDamaged."""
    try:
        return aggregate_type.event(row["event_type"], row["schema_version"], row["payload"])
    except ValueError:
        # Its words hold values of the payload.
        raise LogDamaged(
            f"version {row['version']} of {row['aggregate']} is not a valid "
            f"{row['event_type']} event: run amends verify to see what is damaged"
        ) from None


def events_of(
    connection: Connection,
    aggregate: str,
    at: Point | None = None,
    after: int = 0,
    since: datetime | None = None,
) -> AsyncGenerator[Row, None]:
    """The rows of an aggregate's events in order: those with a version above `after`, none of which
    is before `since`, up to the point."""
    query = _EVENTS
    values: dict[str, Any] = {"aggregate_id": aggregate_id(aggregate), "after": after}
    for name, bound, value in (
        # Implied by the version; spares a look into the partitions of earlier months.
        ("since", '"timestamp" >= %(since)s', since),
        ("position", "position <= %(position)s", at and at.position),
        ("moment", '"timestamp" <= %(moment)s', at and at.moment),
    ):
        if value is not None:
            query, values = f"{query} AND {bound}", values | {name: value}
    return rows(connection, "events_of", f"{query} ORDER BY version", values)


def known_aggregate_type(aggregate: str) -> AggregateType:
    """The aggregate type of an aggregate. Raises NotFound for a name without one."""
    try:
        return aggregate_type_of(aggregate)
    except KeyError:
        known = ", ".join(f"{name}/..." for name in NAMED)
        raise NotFound(
            f"{aggregate!r} is not an aggregate name: one of {known} is needed"
        ) from None


async def never_was(connection: Connection, aggregate: str, at: Point | None) -> NotFound:
    """The error for an aggregate that has no event up to the point."""
    values = {"aggregate_id": aggregate_id(aggregate)}
    first = await (await connection.execute(_FIRST, values)).fetchone()
    if first is None or at is None:
        return NotFound(f"no aggregate named {aggregate!r} in the ledger")
    since = f"{first['timestamp'].isoformat()} (position {first['position']})"
    return NotThere(f"{aggregate} did not exist at {at}: its first event is of {since}")
