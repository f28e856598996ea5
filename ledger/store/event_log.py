"""Defines the event log, and turns an event into a row and a hash."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ledger.aggregates.columns import Column, Columns
from ledger.store.canonical_json import canonical, canonical_string

# The hash that stands before the first event of an aggregate.
NO_HASH = bytes(32)

EVENT_LOG = Columns(
    "event_log",
    (
        Column("position", "bigint", nullable=False, identity=True),
        Column("xid", "xid8", nullable=False),
        Column("event_id", "uuid", nullable=False),
        Column("aggregate_id", "uuid", nullable=False, primary_key=True),
        Column("aggregate", "text", nullable=False),
        Column("version", "integer", nullable=False, primary_key=True),
        Column("event_type", "text", nullable=False),
        Column("schema_version", "integer", nullable=False),
        Column("timestamp", "timestamptz", nullable=False, primary_key=True),
        Column("user_id", "text", nullable=False),
        Column("saga_id", "text"),
        Column("step", "text"),
        Column("payload", "jsonb", nullable=False),
        Column("metadata", "jsonb", nullable=False),
        Column("hash", "bytea", nullable=False),
    ),
)


def event_id(aggregate_id: UUID, version: int) -> UUID:
    """The id of an event: that of its aggregate, as a UUID of version 8, with the version of the
    event for its last 32 bits. A CHECK of the database refuses any other."""
    return UUID(f"{event_ids(str(aggregate_id))}{version:08x}")


def event_ids(aggregate_id: str) -> str:
    """What the ids of an aggregate's events begin with, as text; the version in eight hexadecimal
    digits follows."""
    return f"{aggregate_id[:14]}8{aggregate_id[15:28]}"


def instant(moment: datetime) -> str:
    """Formats a moment as the hash uses it: UTC, microseconds, `2026-11-22T09:00:00.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def hash_parts(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """The RFC 8785 text of an event in three parts, without the previous hash and the timestamp.
    In the row, payload and metadata are such texts already.

    They stand between the parts: the database fills them in when it writes the event
    (`ledger.event_hash`), since only then its time is known. Position and xid are given by the
    database and differ after a dump and restore: outside the hash.
    """
    return (
        f'{{"aggregate":{canonical_string(row["aggregate"])},"aggregate_id":"{row["aggregate_id"]}",'
        f'"event_id":"{row["event_id"]}","event_type":{canonical_string(row["event_type"])},'
        f'"metadata":{row["metadata"]},"payload":{row["payload"]},"previous":"',
        f'","saga_id":{canonical_string(row["saga_id"])},"schema_version":{row["schema_version"]},'
        f'"step":{canonical_string(row["step"])},"timestamp":"',
        f'","user_id":{canonical_string(row["user_id"])},"version":{row["version"]}}}',
    )


def event_hash(
    previous: bytes, row: Mapping[str, Any], encode: Callable[[Any], bytes] = canonical
) -> bytes:
    """SHA-256 that links an event, as the database returns it, to the previous event of the
    aggregate.

    Ids and timestamp may be texts already. `encode` gives the RFC 8785 bytes. Raises TypeError,
    ValueError as `canonical`.
    """
    at = row["timestamp"]
    record = {
        "aggregate": row["aggregate"],
        "aggregate_id": str(row["aggregate_id"]),
        "event_id": str(row["event_id"]),
        "event_type": row["event_type"],
        "metadata": row["metadata"],
        "payload": row["payload"],
        "previous": previous.hex(),
        "saga_id": row["saga_id"],
        "schema_version": row["schema_version"],
        "step": row["step"],
        "timestamp": at if type(at) is str else instant(at),
        "user_id": row["user_id"],
        "version": row["version"],
    }
    return hashlib.sha256(encode(record)).digest()
