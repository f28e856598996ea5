"""Scans all events and all state rows side by side, or a share of them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.columns import Column, Columns
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.audit.aggregate_check import Moment, Replay, moment_of
from ledger.audit.comparison import JSON_NULL
from ledger.audit.findings import Findings, finding, moment_in
from ledger.database import Connection
from ledger.read.cursors import Row, stretches
from ledger.store.canonical_json import canonical, canonical_plain, decoded, read
from ledger.store.event_log import EVENT_LOG

_LAST_ID = 2**128 - 1
# Every id begins with a hexadecimal digit.
_BEHIND_ALL = "~"

Stretches = AsyncGenerator[list[dict[str, Any]], None]


@dataclass(frozen=True)
class Share:
    """The aggregates that one process checks: those from `first` to `last`, and if `after` is set,
    only those that an event beyond that position touched."""

    first: UUID
    last: UUID
    after: int | None = None


def shares(count: int, after: int | None) -> list[Share]:
    """Divides all aggregates into `count` shares of one size: their ids are hashes."""
    bounds = [_LAST_ID * number // count for number in range(count + 1)]
    return [
        Share(UUID(int=low + 1 if low else 0), UUID(int=high), after)
        for low, high in pairwise(bounds)
    ]


@dataclass
class Walked:
    """The result of one share: how much was read, and the findings."""

    events: int
    aggregates: int
    findings: Findings


async def walk(connection: Connection, share: Share) -> Walked:
    """Replays every aggregate of the share from its events and compares it with its row.

    Bounded memory, one moment: the connection is in a REPEATABLE READ transaction.
    """
    walked = Walked(0, 0, Findings())
    moment = await moment_of(connection)
    async with AsyncExitStack() as stack:

        async def opened(table: Columns) -> Stretches:
            return await stack.enter_async_context(aclosing(_open(connection, table, share)))

        tables = [
            _Rows(aggregate_type.columns, await opened(aggregate_type.columns))
            for aggregate_type in AGGREGATE_TYPES.values()
        ]
        for table in tables:
            await table.advance()
        await _merge(await opened(EVENT_LOG), tables, moment, walked)
    return walked


class _Rows:
    """The state rows of one table by aggregate_id, with a look at the next."""

    def __init__(self, table: Columns, found: Stretches) -> None:
        self.name = table.name
        self._as_json = [column.name for column in table.columns if column.is_json]
        self._found = found
        self._stretch: list[dict[str, Any]] = []
        self.next: Row | None = None
        self.next_id = _BEHIND_ALL

    async def advance(self) -> None:
        if not self._stretch:
            self._stretch = (await anext(self._found, []))[::-1]
        if not self._stretch:
            self.next, self.next_id = None, _BEHIND_ALL
            return
        self.next = row = self._stretch.pop()
        self.next_id = row["aggregate_id"]
        for name in self._as_json:
            # JSON's null is a value, and none of ours: a column without a value holds SQL's.
            row[name] = JSON_NULL if row[name] == "null" else decoded(row[name])


async def _merge(events: Stretches, tables: list[_Rows], moment: Moment, walked: Walked) -> None:
    replay: Replay | None = None
    async for stretch in events:
        walked.events += len(stretch)
        # Read one by one and let go at once: the garbage collector finds nothing to look through.
        stretch.reverse()
        while stretch:
            event = _event(stretch.pop())
            if replay is None or event["aggregate_id"] != replay.id:
                await _close(replay, tables, walked)
                before, replay = replay, Replay(event, moment)
                # In this order ids that begin alike are neighbours.
                if before is not None and before.begins_alike(replay):
                    what = f"the events have the ids of those of {before.name}"
                    walked.findings.add(finding("event_id", replay.name, what, event["position"]))
            replay.add(event)
    await _close(replay, tables, walked)
    for table in tables:
        while table.next is not None:
            await _report_alone(table, walked)


def _event(row: dict[str, Any]) -> Row:
    """A row of the log in the form that Replay takes."""
    row["payload"], one = read(row["payload"])
    row["metadata"], other = read(row["metadata"])
    row["encode"] = canonical_plain if one and other else canonical
    return row


async def _close(replay: Replay | None, tables: list[_Rows], walked: Walked) -> None:
    """Finds the row of a replayed aggregate, and reports the rows before it: they have no
    events."""
    if replay is None:
        return
    rows: dict[str, Row] = {}
    for table in [table for table in tables if table.next_id <= replay.id]:
        while table.next_id < replay.id:
            await _report_alone(table, walked)
        if table.next_id == replay.id and table.next is not None:
            rows[table.name] = table.next
            await table.advance()
    name = replay.table if replay.table in rows else next(iter(rows), None)
    replay.close(rows.pop(name) if name else None, name)
    walked.aggregates += 1
    walked.findings.add(*replay.findings)
    if replay.is_judged:
        walked.findings.judged.add(replay.name)
    for stray, row in rows.items():
        what = f"the row in {stray} has the aggregate_id of {replay.name}"
        since = moment_in(row["head_at"])
        walked.findings.add(finding("name", row["aggregate"], what, since=since))


async def _report_alone(table: _Rows, walked: Walked) -> None:
    row = table.next
    assert row is not None
    since = moment_in(row["head_at"])
    what = f"the state row in {table.name} has no events"
    walked.findings.add(finding("events_missing", row["aggregate"], what, since=since))
    if str(aggregate_id(row["aggregate"])) != row["aggregate_id"]:
        what = f"the aggregate_id of the state row in {table.name} does not match its name"
        walked.findings.add(finding("name", row["aggregate"], what, since=since))
    walked.aggregates += 1
    await table.advance()


def _open(connection: Connection, table: Columns, share: Share) -> Stretches:
    columns = ", ".join(f'{_read(column)} AS "{column.name}"' for column in table.columns)
    if table is EVENT_LOG:
        columns += ", row.tableoid::bigint AS partition"
    order = ("aggregate_id", "version", "timestamp") if table is EVENT_LOG else ("aggregate_id",)
    query = (
        f"SELECT {columns} FROM ledger.{table.name} AS row "
        f"WHERE row.aggregate_id BETWEEN %(first)s AND %(last)s "
        f"{'' if share.after is None else _TOUCHED} "
        f"ORDER BY {', '.join(f'row.{name}' for name in order)}"
    )
    return stretches(connection, table.name, query, vars(share))


_TOUCHED = (
    "AND row.aggregate_id IN (SELECT aggregate_id FROM ledger.event_log WHERE position > %(after)s)"
)


def _read(column: Column) -> str:
    """The SQL that reads a column as the hash uses it, or as text that one call decodes: the server
    renders it faster."""
    name = f'row."{column.name}"'
    if column.type == "timestamptz" and column.name in {"timestamp", "head_at"}:
        # A time that has no such form stands as it is, and is unlike all others.
        return f"""CASE WHEN {name} BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
            THEN to_char({name} AT TIME ZONE 'Etc/UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            ELSE {name}::text END"""
    if column.type == "xid8":
        # Half of them are no bigint; none of those was ever reached.
        return f"least({name}, '9223372036854775807')::text::bigint"
    if column.type in ("uuid", "jsonb"):
        return f"{name}::text"
    return name
