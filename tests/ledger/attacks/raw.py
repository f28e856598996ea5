"""Lies of a worker in SQL: rows unlike their events, events unlike their hash, caches, windows.

Each is about an aggregate of its own, and well formed but for one thing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args, get_origin, get_type_hints

from psycopg import sql

from ledger.aggregates.aggregate import AggregateType, Event, aggregate_id
from ledger.aggregates.columns import HEAD, Column
from ledger.aggregates.names import aggregate_type_of
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.transitions import objection
from ledger.store.canonical_json import canonical_text
from ledger.store.event_log import event_id, hash_parts
from tests.ledger.attacks.impossible import BEGINS, PREFIX, named
from tests.ledger.attacks.stories import Told
from tests.ledger.samples import SAMPLES
from tests.ledger.test_fold import fitted


@dataclass(frozen=True)
class Raw:
    """What is true first, the statements of the lie, and what `verify` names then."""

    name: str
    first: Told
    statements: tuple[str, ...]
    where: str


def literal(value: Any) -> str:
    if isinstance(value, dict | list):
        value = json.dumps(value)
    return sql.Literal(value).as_string(None)


def event(aggregate: str, version: int, told: Event | tuple[str, int, Any], /, **given: str) -> str:
    """SQL that appends an event with its right hash, as the worker may compute it; `given` are SQL
    values of columns that are stored in the place of what was hashed."""
    kind, schema_version, payload = (
        (type(told).__name__, told.schema_version, told.as_json())
        if isinstance(told, Event)
        else told
    )
    own_id = aggregate_id(aggregate)
    row: dict[str, Any] = {
        "event_id": event_id(own_id, version),
        "aggregate_id": own_id,
        "aggregate": aggregate,
        "version": version,
        "event_type": kind,
        "schema_version": schema_version,
        "user_id": "user:forger",
        "saga_id": None,
        "step": None,
        "payload": payload,
        "metadata": {"ip": "203.0.113.9"},
    }
    table = aggregate_type_of(aggregate).columns.name
    before = f"(SELECT head_hash FROM ledger.{table} WHERE aggregate_id = '{row['aggregate_id']}')"
    texts = {name: canonical_text(row[name]) for name in ("payload", "metadata")}
    head, middle, tail = (literal(part) for part in hash_parts(row | texts))
    columns = {
        name: literal(str(value) if name in ("event_id", "aggregate_id") else value)
        for name, value in row.items()
    }
    columns |= {name: literal(json.dumps(row[name])) for name in ("payload", "metadata")}
    columns |= {
        '"timestamp"': "now()",
        "hash": f"ledger.event_hash({head}, {before}, {middle}, now(), {tail})",
    }
    columns |= given
    names, values = ", ".join(columns), ", ".join(columns.values())
    return f"INSERT INTO ledger.event_log ({names}) VALUES ({values})"


def row(aggregate: str, version: int, columns: dict[str, str]) -> str:
    """SQL that moves the state row of an aggregate to this version, with the hash of its event."""
    own_id, table = aggregate_id(aggregate), aggregate_type_of(aggregate).columns.name
    hashed = (
        f"(SELECT hash FROM ledger.event_log WHERE aggregate_id = '{own_id}' "
        f"AND version = {version})"
    )
    changes = {"version": str(version), "head_at": "now()", "head_hash": hashed} | columns
    assigned = ", ".join(f'"{name}" = {value}' for name, value in changes.items())
    return f"UPDATE ledger.{table} SET {assigned} WHERE aggregate_id = '{own_id}'"


def _begun(aggregate_type: AggregateType, name: str) -> tuple[Event, Event, Any]:
    """The first event of an aggregate, one that may follow, and the state after both."""
    samples = [each for each in SAMPLES if type(each) in aggregate_type.events]
    first = next(named(each, name) for each in samples if type(each).__name__ in BEGINS)
    state = aggregate_type.evolve(None, first)
    for sample in samples:
        second = fitted(state, sample)
        second = named(second, name) if type(second).__name__ in BEGINS else second
        if objection(aggregate_type.name, state, second) is None:
            return first, second, aggregate_type.evolve(state, second)
    raise AssertionError(aggregate_type.name)


def _another(column: Column, value: Any, annotation: Any) -> str:
    """A legal value of a column that is not this one."""
    if get_origin(annotation) is Literal:
        return literal(next(each for each in get_args(annotation) if each != value))
    match column.type:
        case "text":
            return literal(f"{value or ''} forged".strip())
        case "integer" | "bigint":
            return literal((value or 0) + 1)
        case "timestamptz":
            assert value is None or isinstance(value, datetime)
            return "now()" if value is None else literal(value + timedelta(seconds=1))
        case "jsonb":
            return literal(["forged"] if isinstance(value, list) else {"forged": True})
        case _:
            raise AssertionError(column)


# Aggregate types with one event, which may come again.
REPEATED = ("policy",)


def columns_unlike_their_events() -> Iterator[Raw]:
    """Each column of each state table, changed beside a legal event."""
    head = {column.name for column in HEAD}
    for aggregate_type in AGGREGATE_TYPES.values():
        if len(aggregate_type.events) == 1 and aggregate_type.name not in REPEATED:
            # No event may follow its first, so no row is changed beside a legal one.
            continue
        prefix = PREFIX.get(aggregate_type.name, f"{aggregate_type.name}/")
        for column in aggregate_type.columns.columns:
            if column.name in head:
                continue
            name = f"{prefix}raw-{column.name}"
            first, second, state = _begun(aggregate_type, name)
            values = {
                field: literal(value.isoformat() if isinstance(value, datetime) else value)
                for field, value in aggregate_type.row(state).items()
            }
            annotation = get_type_hints(aggregate_type.state)[column.name]
            values[column.name] = _another(column, getattr(state, column.name), annotation)
            statements = (event(name, 2, second), row(name, 2, values))
            what = f"{aggregate_type.columns.name}.{column.name}"
            yield Raw(what, [(name, first)], statements, name)


REVOKED = ("AgentRevoked", 1, {"reason": None})
# Of an event: the column, and what is stored there in the place of what was hashed.
UNHASHED = {
    "event_id": "gen_random_uuid()",
    "event_type": "'AgentRegistered'",
    "schema_version": "2",
    "user_id": "'user:ana'",
    "saga_id": "'payment/steps'",
    "step": "'authorize'",
    "payload": '\'{"reason": "left"}\'',
    "metadata": '\'{"ip": "203.0.113.8"}\'',
    "hash": "decode(repeat('11', 32), 'hex')",
}
UNREADABLE: dict[str, tuple[str, int, Any]] = {
    "an event of no type": ("AgentPromoted", 1, {}),
    "an event of another aggregate type": ("PolicySet", 1, {}),
    "an event of a version to come": ("AgentRevoked", 99, {"reason": None}),
    "an event with a field too many": ("AgentRevoked", 1, {"reason": None, "spend": []}),
    "an event without its fields": ("AgentRegistered", 1, {}),
    "a field of another type": ("AgentRevoked", 1, {"reason": 7}),
    "a field of another shape": ("AgentRevoked", 1, {"reason": {"a": ["b"]}}),
    "a payload that is a list": ("AgentRevoked", 1, []),
    "a payload that is nothing": ("AgentRevoked", 1, None),
    "a payload that is a number": ("AgentRevoked", 1, 7),
    "a payload that is a text": ("AgentRevoked", 1, "left"),
}


def events_of_no_kind() -> Iterator[Raw]:
    """Events that no reader knows, and events unlike their hash."""

    def about(number: int, what: str, appended: tuple[str, int, Any], **given: str) -> Raw:
        name = f"agent/event-{number}-{len(what)}"
        first, _, _ = _begun(AGGREGATE_TYPES["agent"], name)
        statements = (event(name, 2, appended, **given), row(name, 2, {"state": "'revoked'"}))
        return Raw(what, [(name, first)], statements, name)

    for number, (column, value) in enumerate(UNHASHED.items()):
        yield about(number, f"another {column} than was hashed", REVOKED, **{column: value})
    for number, (what, appended) in enumerate(UNREADABLE.items(), len(UNHASHED)):
        yield about(number, what, appended)
    name = "policy/lax"
    first, second, _ = _begun(AGGREGATE_TYPES["policy"], name)
    as_text = ("PolicySet", 1, second.as_json() | {"daily_limit_minor": "7"})
    statements = (event(name, 2, as_text), row(name, 2, {"daily_limit_minor": "7"}))
    yield Raw("a number as a text", [(name, first)], statements, name)


def head() -> Raw:
    """A row with the hash of no event."""
    name, forged = "agent/head", "decode(repeat('22', 32), 'hex')"
    first, second, _ = _begun(AGGREGATE_TYPES["agent"], name)
    moved = row(name, 2, {"state": "'active'", "head_hash": forged})
    return Raw("another head_hash", [(name, first)], (event(name, 2, second), moved), name)


WINDOW = "ledger.spend_windows (agent_id, currency, period, starts_on, amount_minor, count)"
SPENT = "spend window raw-bot/ARS/daily/2026-01-{:02}"
SNAPSHOT = 'ledger.snapshots (aggregate_id, aggregate, version, "timestamp", hash, fold, state)'


def beside_the_log() -> Iterator[Raw]:
    """Spend windows and snapshots, which the worker may write without an event."""
    for number, (amount, count) in enumerate(((0, 0), (1, 0), (0, 1), (2**62, 2**31 - 1)), 1):
        told = f"'raw-bot', 'ARS', 'daily', '2026-01-{number:02}', {amount}, {count}"
        yield Raw(
            f"a window of {amount}/{count}",
            [],
            (f"INSERT INTO {WINDOW} VALUES ({told})",),
            SPENT.format(number),
        )
    for number, (field, value) in enumerate(
        {
            "version": "7",
            "hash": r"'\x00'",
            "timestamp": "now()",
            "state": "'{}'",
            "aggregate_id": "gen_random_uuid()",
        }.items()
    ):
        name = f"agent/snapshot-{number}"
        first, _, state = _begun(AGGREGATE_TYPES["agent"], name)
        kept = {
            "aggregate_id": "aggregate_id",
            "aggregate": "aggregate",
            "version": "version",
            "timestamp": "head_at",
            "hash": "head_hash",
            "fold": "%(fold)s",
            "state": literal(state.as_json()),
        } | {field: value}
        copied = (
            f"INSERT INTO {SNAPSHOT} SELECT {', '.join(kept.values())} FROM ledger.agents "
            f"WHERE aggregate = '{name}'"
        )
        yield Raw(f"a snapshot of another {field}", [(name, first)], (copied,), name)


def raw() -> list[Raw]:
    return [*columns_unlike_their_events(), *events_of_no_kind(), head(), *beside_the_log()]
