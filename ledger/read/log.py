"""Reads the log event by event, in its one order: see ledger.read.global_order."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ledger.aggregates.names import aggregate_id
from ledger.database import Connection, Database
from ledger.read.cursors import Row, reading, rows
from ledger.read.event_form import faults_of
from ledger.read.global_order import Incarnation, Order, Token, read_order

_EVENTS = """SELECT position, xid, event_id, aggregate, version, event_type,
    schema_version, "timestamp", user_id, saga_id, step, payload, metadata FROM ledger.event_log"""
_CONDITIONS = {
    "aggregate": "aggregate_id = %(aggregate)s",
    "saga_id": "(saga_id = %(saga_id)s OR aggregate_id = %(saga)s)",
    "aggregate_type": "starts_with(aggregate, %(aggregate_type)s)",
    "user_id": "user_id = %(user_id)s",
    "event_types": "event_type = ANY(%(event_types)s)",
    "since": '"timestamp" >= %(since)s',
    "until": '"timestamp" < %(until)s',
}
_UPWARDS = "(xid, position) > (%(xid)s::xid8, %(position)s)"
_DOWNWARDS = "(xid, position) < (%(xid)s::xid8, %(position)s)"

Query = tuple[str, dict[str, Any]]


# The event type that a reader gives an event that can't be read.
UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class LoggedEvent:
    """An event with all its columns. `timestamp` is the database's, in UTC or local.

    `token` is its place in the log, to read on from; None while an older transaction is open that
    may still write before it, and where nobody asked for the place. An event that can't be read has
    the event type `unreadable`: the columns in `unreadable` are None, the others as they stand.
    """

    token: str | None = None
    position: int
    event_id: UUID
    aggregate: str
    version: int
    event_type: str
    schema_version: int
    timestamp: datetime | None
    user_id: str
    saga_id: str | None
    step: str | None
    payload: dict[str, Any] | None
    metadata: dict[str, Any] | None
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: Row, token: str | None = None) -> "LoggedEvent":
        """The event in a row of the log that has all these columns."""
        found = {name: row[name] for name in _COLUMNS}
        if faults := faults_of(row):
            found |= {"event_type": UNREADABLE, "unreadable": faults, **dict.fromkeys(faults)}
        return cls(token=token, **found)

    def document(self) -> dict[str, Any]:
        """The event as JSON; its time in UTC."""
        at = self.timestamp and self.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
        told = {**vars(self), "event_id": str(self.event_id), "timestamp": at}
        if not self.unreadable:
            del told["unreadable"]
        return told


_COLUMNS = tuple(
    each.name for each in fields(LoggedEvent) if each.name not in ("token", "unreadable")
)


@dataclass(frozen=True)
class Wanted:
    """A filter of events: all conditions that are given hold.

    `saga_id`: what the saga wrote, and what was written about it. `aggregate_type`: the head of the
    aggregate's name. `since` is the first moment that counts, `until` the first that does not.
    """

    aggregate: str | None = None
    saga_id: str | None = None
    aggregate_type: str | None = None
    user_id: str | None = None
    event_types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


ALL = Wanted()


async def log(
    database: Database,
    wanted: Wanted = ALL,
    *,
    limit: int,
    after: Token | None = None,
    newest_first: bool = False,
) -> list[LoggedEvent]:
    """Up to `limit` events of `stream`."""
    async with aclosing(
        stream(database, wanted, limit=limit, after=after, newest_first=newest_first)
    ) as events:
        return [event async for event in events]


async def stream(
    database: Database,
    wanted: Wanted = ALL,
    *,
    limit: int | None = None,
    after: Token | None = None,
    newest_first: bool = False,
) -> AsyncGenerator[LoggedEvent, None]:
    """Streams the events that match the filter, as of one moment, in bounded memory.

    `after` is the place of an event already had: the next ones in the reading direction. Who pages
    upwards goes on from the last event that has a token: that misses nothing, and gives again only
    what had none. It holds a connection until it is exhausted or closed. Raises StateRefused for a
    token of another ledger, DatabaseUnavailable.
    """
    async with reading(database) as connection:
        order = await read_order(connection)
        if after:
            order.require(after)
        left = limit
        for life in order.incarnations[:: -1 if newest_first else 1]:
            if after and _is_beyond(life, after, newest_first):
                continue
            # Of the events of earlier lives many may have a higher transaction id: not looked at.
            below = order.unborn if life is order.last and order.recorded else None
            query = page(wanted, life, after, below=below, limit=left, newest_first=newest_first)
            async with aclosing(rows(connection, f"log_{life.number}", *query)) as found:
                async for row in found:
                    left = None if left is None else left - 1
                    yield logged(row, place_of(row, life), order)


def _is_beyond(life: Incarnation, after: Token, newest_first: bool) -> bool:
    if newest_first:
        return life.number > after.incarnation
    return life.number < after.incarnation


def page(
    wanted: Wanted,
    life: Incarnation,
    after: Token | None,
    *,
    below: int | None,
    limit: int | None,
    newest_first: bool = False,
) -> Query:
    """The query for the events of one incarnation, after a place, of transactions below `below`."""
    values = _values(wanted)
    found = [condition for name, condition in _CONDITIONS.items() if name in values]
    if after and after.incarnation == life.number:
        found.append(_DOWNWARDS if newest_first else _UPWARDS)
        values |= {"xid": str(after.xid), "position": after.position}
    if below is not None:
        found.append("xid < %(below)s::xid8")
        values["below"] = str(below)
    if life.above:
        found.append("position > %(above)s")
        values["above"] = life.above
    if life.up_to is not None:
        found.append("position <= %(up_to)s")
        values["up_to"] = life.up_to
    where = f" WHERE {' AND '.join(found)}" if found else ""
    way = " DESC" if newest_first else ""
    values["limit"] = limit
    return f"{_EVENTS}{where} ORDER BY xid{way}, position{way} LIMIT %(limit)s", values


def _values(wanted: Wanted) -> dict[str, Any]:
    given = {name: value for name, value in vars(wanted).items() if value not in (None, ())}
    if wanted.aggregate is not None:
        given["aggregate"] = aggregate_id(wanted.aggregate)
    if wanted.saga_id is not None:
        given["saga"] = aggregate_id(f"saga/{wanted.saga_id}")
    if wanted.aggregate_type is not None:
        given["aggregate_type"] = f"{wanted.aggregate_type}/"
    if wanted.event_types:
        given["event_types"] = list(wanted.event_types)
    return given


def place_of(row: Row, life: Incarnation) -> Token:
    """The place of a row of a `page`."""
    return Token(life.number, int(row["xid"]), row["position"])


def logged(row: Row, place: Token, order: Order) -> LoggedEvent:
    """A row of a `page` as an event with its place."""
    return LoggedEvent.of(row, str(place) if order.is_final(place) else None)


async def events_of_saga(connection: Connection, saga_id: str) -> list[LoggedEvent]:
    """The events that a saga wrote, and those that others wrote about it, oldest first."""
    wanted = Wanted(saga_id=saga_id)
    statement = f"{_EVENTS} WHERE {_CONDITIONS['saga_id']} ORDER BY position"
    cursor = await connection.execute(statement.encode(), _values(wanted))
    return [LoggedEvent.of(row) for row in await cursor.fetchall()]
