"""Projects the event log into the rows of one table, for `rebuild`.

A source reads the log as of one snapshot: all of it, or what an earlier snapshot did not see.
Positions become visible out of order, so that is asked by transaction.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from psycopg.types.json import Jsonb

from ledger.aggregates.aggregate import AggregateType, State, UnknownEvent, aggregate_id
from ledger.aggregates.columns import Columns
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.spend_window import SPEND_WINDOWS
from ledger.database import Connection
from ledger.errors import LogDamaged
from ledger.read.cursors import Row, rows, stretches
from ledger.unreadable import Unreadable

# Of what came with a restore all is visible, and its transaction ids mean nothing in this cluster.
_UNSEEN = """
    xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
    AND NOT pg_visible_in_snapshot(xid, %(since)s::pg_snapshot)
    AND position > (SELECT max(restored_position) FROM ledger.incarnations)"""


class Source(Protocol):
    """The projection of one table. `events` counts what was read so far."""

    table: Columns
    events: int
    # Whether what is told since a snapshot is to be added to the rows, or stands in their place.
    adds: bool

    def rows(self, reader: Connection, since: str | None) -> AsyncGenerator[list[Any], None]:
        """Yields rows, each with a value for every column of the table in its order.

        `since`: only those that were written after this snapshot saw the log.
        Raises UnknownEvent, LogDamaged.
        """


def sources() -> dict[str, Source]:
    """The projections that can be rebuilt, by the name of their table."""
    found: list[Source] = [_Windows(), *map(_States, AGGREGATE_TYPES.values())]
    return {source.table.name: source for source in found}


_EVENTS = """
    SELECT aggregate_id, aggregate, version, event_type, schema_version, "timestamp", payload, hash,
        xid::text
    FROM ledger.event_log
    WHERE split_part(aggregate, '/', 1) = %(aggregate_type)s {since}
    ORDER BY aggregate_id, version, "timestamp"
"""
# What was written since is folded again from its first event.
_TOUCHED = f"AND aggregate_id IN (SELECT aggregate_id FROM ledger.event_log WHERE {_UNSEEN})"


class _States:
    """The state rows of an aggregate type, each folded from its events."""

    adds = False

    def __init__(self, aggregate_type: AggregateType) -> None:
        self.table, self.events, self._aggregate_type = aggregate_type.columns, 0, aggregate_type

    async def rows(self, reader: Connection, since: str | None) -> AsyncGenerator[list[Any], None]:
        statement = _EVENTS.format(since=_TOUCHED if since else "")
        values = {"aggregate_type": self._aggregate_type.name, "since": since}
        fold: _Fold | None = None
        async with aclosing(stretches(reader, "told", statement, values)) as found:
            async for stretch in found:
                self.events += len(stretch)
                for event in stretch:
                    if fold is None or event["aggregate_id"] != fold.id:
                        if fold is not None:
                            yield fold.row()
                        fold = _Fold(self._aggregate_type, event)
                    fold.add(event)
        if fold is not None:
            yield fold.row()


class _Fold:
    """The fold of one aggregate's events into its state row."""

    def __init__(self, aggregate_type: AggregateType, first: Row) -> None:
        self.id, self._name, self._aggregate_type = (
            first["aggregate_id"],
            first["aggregate"],
            aggregate_type,
        )
        self._state: State | None = None
        self._last: Row | None = None
        self._version = self._base = 0

    def add(self, event: Row) -> None:
        """Folds the next event by version."""
        if (event["aggregate"], event["version"]) != (self._name, self._version + 1):
            raise self._damaged(event, f"it follows version {self._version} of {self._name}")
        if self._last is None and aggregate_id(self._name) != self.id:
            raise self._damaged(event, "its aggregate_id does not match its name")
        if type(event["timestamp"]) is Unreadable:
            raise self._damaged(event, "its time can't be read")
        try:
            known = self._aggregate_type.event(
                event["event_type"], event["schema_version"], event["payload"]
            )
        except ValueError:
            # Without its cause, which quotes what stands in the payload.
            raise self._damaged(event, f"its payload does not fit {event['event_type']}") from None
        self._state = self._aggregate_type.evolve(self._state, known)
        # A transaction writes an aggregate at one time: where that changes, another began.
        if self._last is None or _written(self._last) != _written(event):
            self._base = self._version
        self._version, self._last = event["version"], event

    def _damaged(self, event: Row, what: str) -> LogDamaged:
        where = f"version {event['version']} of {event['aggregate']}"
        return LogDamaged(f"{where} can't be replayed: {what}; run amends verify")

    def row(self) -> list[Any]:
        """The state row that these events fold into."""
        assert self._state is not None
        assert self._last is not None
        values = {
            "aggregate_id": self.id,
            "aggregate": self._name,
            "version": self._version,
            "base": self._base,
            "head_at": self._last["timestamp"],
            "head_hash": self._last["hash"],
            "xid": self._last["xid"],
            **self._aggregate_type.row(self._state),
        }
        return [
            Jsonb(values[column.name])
            if column.is_json and values[column.name] is not None
            else values[column.name]
            for column in self._aggregate_type.columns.columns
        ]


def _written(event: Row) -> tuple[Any, Any]:
    return event["xid"], event["timestamp"]


# Spend stands in every version of an event as in the newest (tests/ledger/test_corpus.py), so the
# server sums it up.
_SPENT = """
    SELECT change #>> '{{window,agent_id}}' AS agent_id,
        change #>> '{{window,currency}}' AS currency, change #>> '{{window,period}}' AS period,
        (change #>> '{{window,starts_on}}')::date AS starts_on,
        sum((change ->> 'amount_minor')::bigint)::bigint AS amount_minor,
        sum((change ->> 'count')::integer)::integer AS count,
        count(*) FILTER (WHERE ordinality = 1) AS events,
        split_part(aggregate, '/', 1) AS aggregate_type, event_type, schema_version
    FROM ledger.event_log, jsonb_path_query(payload, '$.spend[*]') WITH ORDINALITY AS spent (change)
    WHERE payload ? 'spend' {since}
    GROUP BY 1, 2, 3, 4, aggregate_type, event_type, schema_version
"""


class _Windows:
    """The spend windows: sums of what the events reserve and release."""

    table, adds = SPEND_WINDOWS, True

    def __init__(self) -> None:
        self.events = 0

    async def rows(self, reader: Connection, since: str | None) -> AsyncGenerator[list[Any], None]:
        statement = _SPENT.format(since=f"AND {_UNSEEN}" if since else "")
        async with aclosing(rows(reader, "told", statement, {"since": since})) as windows:
            async for spent in windows:
                aggregate_type = AGGREGATE_TYPES.get(spent["aggregate_type"])
                if aggregate_type is None:
                    raise UnknownEvent(
                        f"aggregate type {spent['aggregate_type']!r} is unknown to this version of "
                        "Amends: upgrade"
                    )
                aggregate_type.known(spent["event_type"], spent["schema_version"])
                self.events += spent["events"]
                yield [spent[column.name] for column in SPEND_WINDOWS.columns]
