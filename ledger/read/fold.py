"""Folds one aggregate from its events, up to a point, starting from its newest snapshot."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, aggregate_id
from ledger.aggregates.names import NAMED, aggregate_type_of
from ledger.database import Connection
from ledger.errors import LogDamaged, NeverWorks, NotFound, NotThere
from ledger.read.cursors import Row, rows
from ledger.read.points import Point
from ledger.read.snapshots import newest_snapshot
from ledger.unreadable import Unreadable

_EVENTS = """
    SELECT * FROM ledger.event_log
    WHERE aggregate_id = %(aggregate_id)s AND version > %(after)s"""
_FIRST = """
    SELECT position, "timestamp" FROM ledger.event_log WHERE aggregate_id = %(aggregate_id)s
    ORDER BY version LIMIT 1"""


# Is told of an event that a fold goes on without, and why.
Skip = Callable[[Row, str], None]


@dataclass(frozen=True)
class Folded:
    """The state after `version` events, the last of which was at `head_at`; `read` of them were
    read, the others are in the snapshot that the fold started from."""

    aggregate_type: AggregateType
    state: State
    version: int
    head_at: datetime
    read: int


async def fold(
    connection: Connection, aggregate: str, at: Point | None = None, skip: Skip | None = None
) -> Folded | None:
    """Folds the aggregate up to the point, or to the connection's snapshot; None before its first
    event. Raises NotFound for a name without a known aggregate type, and for an event that can't be
    folded UnknownEvent (of a newer version) or LogDamaged, unless `skip` is told of it: then the
    fold goes on without it."""
    aggregate_type = known_aggregate_type(aggregate)
    start = await newest_snapshot(connection, aggregate, at)
    state, version, head_at = (
        (start.state, start.version, start.timestamp) if start else (None, 0, None)
    )
    read = 0
    async with aclosing(events_of(connection, aggregate, at, version, head_at)) as events:
        async for event in events:
            read += 1
            if (after := folded(aggregate_type, state, event, skip)) is not None:
                state, version, head_at = after, event["version"], event["timestamp"]
    if state is None or head_at is None:
        return None
    return Folded(aggregate_type, state, version, head_at, read)


def skipping(note: Callable[[str], None]) -> Skip:
    """A `skip` that notes a sentence."""

    def skip(event: Row, why: str) -> None:
        note(f"left out position {event['position']}: {why}")

    return skip


def folded(
    aggregate_type: AggregateType, state: State | None, event: Row, skip: Skip | None
) -> State | None:
    """The state after an event; None if it was skipped."""
    try:
        return aggregate_type.evolve(state, event_in(aggregate_type, event))
    except (LogDamaged, UnknownEvent) as error:
        if skip is None:
            raise
        skip(event, str(error))
        return None


def event_in(aggregate_type: AggregateType, row: Row) -> Event:
    """The event in a row of the log. Raises UnknownEvent, LogDamaged."""
    try:
        if type(row["timestamp"]) is Unreadable:
            raise ValueError
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


async def never_was(connection: Connection, aggregate: str, at: Point | None) -> NeverWorks:
    """The error for an aggregate that has no event up to the point, or none that can be read."""
    values = {"aggregate_id": aggregate_id(aggregate)}
    first = await (await connection.execute(_FIRST, values)).fetchone()
    if first is None:
        return NotFound(f"no aggregate named {aggregate!r} in the ledger")
    if at is None or type(first["timestamp"]) is Unreadable or at.covers(first):
        return LogDamaged(f"no event of {aggregate} can be read: run amends verify")
    since = f"{first['timestamp'].isoformat()} (position {first['position']})"
    return NotThere(f"{aggregate} did not exist at {at}: its first event is of {since}")
