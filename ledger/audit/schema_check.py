"""Compares the catalog of the database with what the migrations make: whether the rules are in
force.

`rules.json` holds a digest of every object of a freshly migrated schema. Whoever changes the schema
writes it anew with `python -m tests.ledger.record_rules`; a test says when that is due.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.spend_window import SPEND_WINDOWS
from ledger.audit.findings import Findings, finding
from ledger.read.snapshots import SNAPSHOTS
from ledger.store.event_log import EVENT_LOG

RECORDED = Path(__file__).with_name("rules.json")
_CATALOG = Path(__file__).with_name("catalog.sql").read_text(encoding="utf-8")
# The month in the name of a partition. Partitions are alike, and so are the counts of a month's
# events: in the partition of another month a count finds none, and no commit gets through.
_MONTH = re.compile(r"(?<=event_log_)\d{4}_\d\d")


@dataclass(frozen=True)
class _Schema:
    """A digest of each object by name, the table of each that has one, the months in the log."""

    digests: dict[str, str]
    table_of: dict[str, str | None]
    months: list[str]


async def rules_of(connection: AsyncConnection[DictRow]) -> dict[str, str]:
    """The digest of each object of the schema by name, with * for the month of a partition."""
    schema = await _read(connection)
    return {_MONTH.sub("*", name): digest for name, digest in schema.digests.items()}


async def check_rules(connection: AsyncConnection[DictRow], findings: Findings) -> bool:
    """Adds a finding for each object of the schema that is missing, changed or not ours. Any role
    may read the catalog.

    Returns whether the rest can be read: all tables and columns are there, of their types, and this
    role may read them.
    """
    schema = await _read(connection)
    recorded: dict[str, str] = json.loads(RECORDED.read_text(encoding="utf-8"))
    expected = {
        name.replace("*", month): digest
        for name, digest in recorded.items()
        for month in (schema.months if "*" in name else [""])
    }
    found = schema.digests
    strange = found.keys() - expected.keys()
    for name in sorted(expected.keys() | found.keys()):
        # Of a table that is not ours everything is not ours.
        if name in strange and f"table {schema.table_of[name]}" not in strange - {name}:
            findings.add(finding("rule", name, "the object is not part of the ledger's schema"))
        elif name not in found and not _is_of_missing_table(name, expected, found):
            findings.add(finding("rule", name, "the object is missing"))
        elif name in found and name in expected and found[name] != expected[name]:
            findings.add(finding("rule", name, "the object is not as the migration made it"))
    return not await _unreadable(connection)


_UNREADABLE = """
    SELECT FROM unnest(%(tables)s::text[], %(columns)s::text[], %(types)s::text[])
        AS needed ("table", "column", type)
    LEFT JOIN pg_namespace ON nspname = 'ledger'
    LEFT JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = needed."table"
    LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attname = needed."column"
        AND NOT attisdropped
    WHERE attnum IS NULL OR atttypid <> needed.type::regtype
        OR NOT has_schema_privilege(pg_namespace.oid, 'USAGE')
        OR NOT has_column_privilege(pg_class.oid, attnum, 'SELECT')
    LIMIT 1
"""
# Of the tables that hold no rows of Columns, what is read.
_MARKS = (
    ("incarnations", "restored_position", "bigint"),
    ("incarnations", "began_at", "timestamptz"),
    ("closed_past", "until", "timestamptz"),
)


async def _unreadable(connection: AsyncConnection[DictRow]) -> bool:
    of_states = [aggregate_type.columns for aggregate_type in AGGREGATE_TYPES.values()]
    needed = [
        (table.name, column.name, column.type)
        for table in (*of_states, EVENT_LOG, SPEND_WINDOWS, SNAPSHOTS)
        for column in table.columns
    ]
    tables, columns, types = map(list, zip(*needed, *_MARKS, strict=True))
    values = {"tables": tables, "columns": columns, "types": types}
    return await (await connection.execute(_UNREADABLE, values)).fetchone() is not None


def _is_of_missing_table(name: str, expected: Mapping[str, str], found: Mapping[str, str]) -> bool:
    missing = (
        table.split()[1] for table in expected.keys() - found.keys() if table[:6] == "table "
    )
    return any(name.endswith(f" of {table}") or f" {table}." in name for table in missing)


async def _read(connection: AsyncConnection[DictRow]) -> _Schema:
    cursor = await connection.execute(_CATALOG)
    objects = await cursor.fetchall()
    return _Schema(
        digests={row["name"]: row["digest"] for row in objects},
        table_of={row["name"]: row["table"] for row in objects},
        # One with a name of its own is none of ours, whatever it holds.
        months=[
            month for row in objects if row["is_partition"] for month in _MONTH.findall(row["name"])
        ],
    )
