"""Diff and blame: the difference of an aggregate between two points, and the event that last
changed each of its fields."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ledger.aggregates.aggregate import State
from ledger.aggregates.names import aggregate_id, saga_name
from ledger.database import Connection, Database
from ledger.errors import NotThere, StateRefused
from ledger.read.cursors import reading
from ledger.read.event_form import is_metadata
from ledger.read.fold import (
    Folded,
    Skip,
    events_of,
    fold,
    folded,
    known_aggregate_type,
    never_was,
    skipping,
)
from ledger.read.points import PATIENCE_S, Explain, Point, in_silence

if TYPE_CHECKING:
    from ledger.read.log import LoggedEvent

Leaves = dict[str, Any]
# A part of a path that needs no quotes.
_PLAIN = re.compile(r"[^\".\s]+")


@dataclass(frozen=True)
class Stand:
    """The version of an aggregate at a point: after `version` events, the last of which was at
    `head_at`."""

    version: int
    head_at: datetime


@dataclass(frozen=True)
class FieldChange:
    """A field, as a dotted path, that differs; `old` is null if it was added, `new` if it was
    removed."""

    field: str
    change: Literal["added", "changed", "removed"]
    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class Diff:
    """The difference of an aggregate between two points, and the events between them in order.

    `before` is null where it did not exist yet.
    """

    aggregate: str
    before: Stand | None
    after: Stand
    fields: list[FieldChange]
    events: "list[LoggedEvent]"


@dataclass(frozen=True)
class Blame:
    """The event that last changed a field: who wrote it, in which saga and workflow run, and why
    (the event's own reason, or that of the request that the saga carries out)."""

    field: str
    value: Any
    removed: bool
    position: int
    version: int
    event_type: str
    timestamp: datetime
    user_id: str
    saga_id: str | None
    step: str | None
    workflow_id: str | None
    run_id: str | None
    reason: str | None


async def diff(
    database: Database,
    aggregate: str,
    before: Point,
    after: Point,
    *,
    patience_s: float = PATIENCE_S,
    explain: Explain = in_silence,
) -> Diff:
    """Compares an aggregate at two points of the past; the answer never changes.

    An event that can't be read is left out of the states, noted, and listed as `unreadable`. Raises
    NotFound when it did not exist at the later one, StateRefused when the points are given in the
    wrong order, and what `wait_until_past` raises.
    """
    from ledger.read.point_in_time import wait_until_past

    await wait_until_past(database, before, after, patience_s=patience_s, explain=explain)
    async with reading(database) as connection:
        skip = skipping(database.note)
        old = await fold(connection, aggregate, before, skip)
        new = await fold(connection, aggregate, after, skip)
        if new is None and old is None:
            raise await never_was(connection, aggregate, after)
        if new is None or (old is not None and old.version > new.version):
            raise StateRefused(f"{before} lies after {after}: exchange them", "wrong_order")
        between = await _between(connection, aggregate, after, old)
    return Diff(
        aggregate=aggregate,
        before=_stand(old) if old else None,
        after=_stand(new),
        fields=list(_differences(leaves_of(old.state) if old else {}, leaves_of(new.state))),
        events=between,
    )


def _stand(folded: Folded) -> Stand:
    return Stand(version=folded.version, head_at=folded.head_at)


async def _between(
    connection: Connection, aggregate: str, after: Point, old: Folded | None
) -> "list[LoggedEvent]":
    from ledger.read.log import LoggedEvent

    version, head_at = (old.version, old.head_at) if old else (0, None)
    async with aclosing(events_of(connection, aggregate, after, version, head_at)) as events:
        return [LoggedEvent.of(event) async for event in events]


async def blame(database: Database, aggregate: str, field: str | None = None) -> list[Blame]:
    """Finds for each field of an aggregate's state, removed ones too, the event that last changed
    it.

    `field` is a dotted path, and names those below it too. An event that can't be read is left out
    and noted. Raises NotFound for an aggregate or a field that never was, DatabaseUnavailable.
    """
    async with reading(database) as connection:
        leaves, last = await _last_changes(connection, aggregate, skipping(database.note))
        if not last:
            raise await never_was(connection, aggregate, None)
        wanted = [name for name in last if field is None or f"{name}.".startswith(f"{field}.")]
        if not wanted:
            known = ", ".join(last)
            raise NotThere(f"{aggregate} never had a field {field!r}: its fields are {known}")
        reasons = await _reasons(connection, {last[name]["saga_id"] for name in wanted})
    return [_blame(name, leaves, last[name], reasons) for name in wanted]


async def _last_changes(
    connection: Connection, aggregate: str, skip: Skip
) -> tuple[Leaves, dict[str, Mapping[str, Any]]]:
    """The leaves of the current state, and by field, also removed, the event that changed it
    last."""
    aggregate_type = known_aggregate_type(aggregate)
    state: State | None = None
    leaves: Leaves = {}
    last: dict[str, Mapping[str, Any]] = {}
    async with aclosing(events_of(connection, aggregate)) as events:
        async for event in events:
            if (after := folded(aggregate_type, state, event, skip)) is None:
                continue
            state = after
            before, leaves = leaves, leaves_of(state)
            last |= {change.field: event for change in _differences(before, leaves)}
            last |= dict.fromkeys(leaves.keys() - before.keys(), event)
    # What has fields below it now is no field of its own any more.
    fields = [name for name in sorted(last) if name in leaves or not _has_below(name, leaves)]
    return leaves, {name: last[name] for name in fields}


def _blame(
    name: str, leaves: Leaves, event: Mapping[str, Any], reasons: Mapping[str, str]
) -> Blame:
    metadata = event["metadata"] if is_metadata(event["metadata"]) else {}
    own = event["payload"].get("reason")
    return Blame(
        **{name: event[name] for name in _OF_EVENT if name in event},
        field=name,
        value=leaves.get(name),
        removed=name not in leaves,
        workflow_id=metadata.get("workflow_id"),
        run_id=metadata.get("run_id"),
        reason=own if isinstance(own, str) else reasons.get(event["saga_id"]),
    )


async def _reasons(connection: Connection, saga_ids: set[str | None]) -> dict[str, str]:
    """The reason of each saga's request, where it has one."""
    ids = [aggregate_id(saga_name(saga_id)) for saga_id in saga_ids if saga_id]
    cursor = await connection.execute(
        "SELECT workflow_id, input->>'reason' AS reason FROM ledger.sagas "
        "WHERE aggregate_id = ANY(%(ids)s) AND input->>'reason' IS NOT NULL",
        {"ids": ids},
    )
    return {row["workflow_id"]: row["reason"] for row in await cursor.fetchall()}


# The columns of the log that a `Blame` passes on.
_OF_EVENT = tuple(each.name for each in fields(Blame))


def leaves_of(state: State) -> Leaves:
    """The fields of a state by dotted path, as JSON; a list is one value, and so is an empty
    object. A name that holds a dot, a space or a quote is quoted."""
    return dict(_leaves("", state.as_json()))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for name, inner in value.items():
        part = name if _PLAIN.fullmatch(name) else json.dumps(name)
        yield from _leaves(f"{path}.{part}" if path else part, inner)


def _differences(old: Leaves, new: Leaves) -> Iterator[FieldChange]:
    """The leaves that differ. A null or an empty object is left out where the other side has fields
    below it: those are listed."""
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            if not _has_below(name, new):
                yield FieldChange(field=name, change="removed", old=old[name])
        elif name not in old:
            if not _has_below(name, old):
                yield FieldChange(field=name, change="added", new=new[name])
        elif old[name] != new[name]:
            yield FieldChange(field=name, change="changed", old=old[name], new=new[name])


def _has_below(name: str, leaves: Leaves) -> bool:
    return any(other.startswith(f"{name}.") for other in leaves)
