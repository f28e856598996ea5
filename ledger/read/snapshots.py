"""Snapshots of long aggregates: a cache that spares readers the fold from the first event on.

One stands after every 200th event. It is used only where the log has that event with its hash, and
only by the fold that made it; else the events are folded from the beginning, as without it. An
event that can be seen has all that stand before it for ever, so a snapshot need not wait for the
past to close.
"""

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from ledger.aggregates.aggregate import AggregateType, State, aggregate_id
from ledger.aggregates.columns import Column, Columns
from ledger.aggregates.identity import NAME_OF
from ledger.aggregates.names import aggregate_type_of
from ledger.database import Connection
from ledger.read.points import Point
from ledger.unreadable import unreadable_in

# As the index event_log_milestones has it. To fold as many takes as long as all else of an answer.
EVERY = 200

SNAPSHOTS = Columns(
    "snapshots",
    (
        Column("aggregate_id", "uuid", nullable=False, primary_key=True),
        Column("aggregate", "text", nullable=False),
        Column("version", "integer", nullable=False, primary_key=True),
        Column("timestamp", "timestamptz", nullable=False),
        Column("hash", "bytea", nullable=False),
        Column("fold", "text", nullable=False),
        Column("state", "jsonb", nullable=False),
        Column("made_at", "timestamptz", nullable=False, default_now=True),
    ),
)

_ANY = "SELECT 1 FROM ledger.snapshots WHERE aggregate_id = %(aggregate_id)s LIMIT 1"
_NEWEST = """
    SELECT snapshots.version, snapshots."timestamp", snapshots.state
    FROM ledger.snapshots JOIN ledger.event_log USING (aggregate_id, version, "timestamp", hash)
    WHERE aggregate_id = %(aggregate_id)s AND fold = %(fold)s
        AND (%(position)s::bigint IS NULL OR event_log.position <= %(position)s)
        AND (%(moment)s::timestamptz IS NULL OR "timestamp" <= %(moment)s)
    ORDER BY version DESC LIMIT 1
"""

# Written over where it was wrong or of another fold, and left alone where it is right.
_KEEP = """
    INSERT INTO ledger.snapshots AS old
        (aggregate_id, aggregate, version, "timestamp", hash, fold, state)
    VALUES (%(aggregate_id)s, %(aggregate)s, %(version)s, %(timestamp)s, %(hash)s, %(fold)s,
        %(state)s)
    ON CONFLICT (aggregate_id, version) DO UPDATE
    SET aggregate = excluded.aggregate, "timestamp" = excluded."timestamp", hash = excluded.hash,
        fold = excluded.fold, state = excluded.state, made_at = clock_timestamp()
    WHERE (old.aggregate, old."timestamp", old.hash, old.fold, old.state) IS DISTINCT FROM
        (excluded.aggregate, excluded."timestamp", excluded.hash, excluded.fold, excluded.state)
"""


@dataclass(frozen=True)
class Snapshot:
    """A cached fold to go on from: after `version` events, the last of which was at `timestamp`."""

    version: int
    timestamp: datetime
    state: State


@cache
def fingerprint(aggregate_type: AggregateType) -> str:
    """Identifies the fold of an aggregate type by its parts: text of its file and its state's
    schema.

    So nobody can change a fold and forget to say so; the snapshots of the old one are made anew.
    """
    # Few commands meet a snapshot, and their start is paid for by all.
    from ledger.store.canonical_json import digest

    source = inspect.getsource(sys.modules[aggregate_type.evolve.__module__])
    return digest([source, msgspec.json.schema(aggregate_type.state)])


async def newest_snapshot(
    connection: Connection, aggregate: str, at: Point | None
) -> Snapshot | None:
    """The newest snapshot at or before the point that matches the log and was made by the current
    fold."""
    cursor = await connection.execute(_ANY, {"aggregate_id": aggregate_id(aggregate)})
    if await cursor.fetchone() is None:
        # So it is with most: without the fingerprint, which takes longer than their fold.
        return None
    aggregate_type = aggregate_type_of(aggregate)
    values = {
        "aggregate_id": aggregate_id(aggregate),
        "fold": fingerprint(aggregate_type),
        "position": at and at.position,
        "moment": at and at.moment,
    }
    row = await (await connection.execute(_NEWEST, values)).fetchone()
    if row is None:
        return None
    try:
        state = aggregate_type.state.read(row["state"])
    except ValueError:
        # Not of our making. The events tell the same, and `verify` finds it.
        return None
    if NAME_OF[aggregate_type.name](state) != aggregate:
        # The state of another aggregate, as `verify` finds.
        return None
    return Snapshot(row["version"], row["timestamp"], state)


async def keep(
    connection: Connection, aggregate: str, event: Mapping[str, Any], state: State
) -> int:
    """Stores the state after an event of the log, replacing a snapshot that differs. Returns the
    number of rows written: 0 or 1."""
    values = {name: event[name] for name in ("version", "timestamp", "hash")}
    values |= {
        "aggregate_id": aggregate_id(aggregate),
        "aggregate": aggregate,
        "fold": fingerprint(aggregate_type_of(aggregate)),
        "state": Jsonb(state.as_json()),
    }
    return (await connection.execute(_KEEP, values)).rowcount


def differing(snapshot: Mapping[str, Any], event: Mapping[str, Any], state: State) -> list[str]:
    """The columns of a snapshot row that differ from the event of its version and the state after
    it. Its state is compared only where the current fold made it: no other is ever used."""
    aggregate_type = aggregate_type_of(event["aggregate"])
    wrong = [
        name
        for name in ("aggregate_id", "aggregate", "version", "timestamp", "hash")
        if snapshot[name] != event[name]
    ]
    wrong += [name for name in unreadable_in(snapshot) if name not in (*wrong, "state")]
    if snapshot["fold"] == fingerprint(aggregate_type):
        # Few commands compare snapshots, and their start is paid for by all.
        from ledger.store.canonical_json import same

        if not same(snapshot["state"], state.as_json()):
            wrong.append("state")
    return wrong
