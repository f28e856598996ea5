"""Reads the resources of an environment as recorded now, before a change, at a time or at a
position."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from ledger.aggregates.aggregate import Event, aggregate_id
from ledger.aggregates.resource import (
    RESOURCE,
    DesiredState,
    ResourceApplied,
    ResourceDeleted,
    ResourceState,
    evolve,
)
from ledger.database import Connection, Database
from ledger.errors import NotFound, StateRefused
from ledger.read.cursors import reading
from ledger.read.fold import event_in
from ledger.read.point_in_time import Point, wait_until_past

Json = dict[str, Any]
# A saga that asks for a past still open comes again; it must not keep its workflow task that long.
BRIEFLY_S = 1.0


class Read(BaseModel):
    """Base of what is read of an environment: it crosses Temporal."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class KnownResource(Read):
    """A resource as recorded in the ledger: `shape` is None when it is absent.

    `version` counts its events. `claimed_by` is the saga that is changing it and has not ended.
    """

    name: str
    version: int
    shape: DesiredState | None
    claimed_by: str | None = None
    changed_by: str | None = None


class PastResource(Read):
    """The state of a resource at a past point, and the changes (sagas, oldest first) that made it
    what it is now.

    A change that was undone or rolled back is not among them.
    """

    name: str
    was: DesiredState | None
    changed_since: list[str]


class Rewound(Read):
    """The resources that were touched since a point, as they were there, and the current ones that
    a plan to return needs. Both are of one moment."""

    past: list[PastResource]
    known: list[KnownResource]


_KNOWN = """
    SELECT resources.*, sagas.operation_id IS NOT NULL AS claimed
    FROM ledger.resources
    LEFT JOIN ledger.sagas
      ON sagas.workflow_id = resources.claimed_by AND sagas.ended_at IS NULL
    WHERE environment = %(environment)s
      AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s) OR depends_on ?| %(names)s)
    ORDER BY name"""


async def resources(
    database: Database, environment: str, names: Collection[str] | None = None
) -> list[KnownResource]:
    """The resources recorded in an environment, absent ones too, ordered by name.

    `names` limits it to these and to what depends on them directly.
    """
    async with database.connection() as connection:
        return await _read_known(connection, environment, names)


_LAST_SAGA = """
    SELECT saga_id FROM ledger.event_log WHERE aggregate_id = %(aggregate_id)s
    ORDER BY version DESC LIMIT 1"""


async def last_saga(database: Database, aggregate: str) -> str:
    """The saga that wrote the last event of a resource."""
    async with database.connection() as connection:
        cursor = await connection.execute(_LAST_SAGA, {"aggregate_id": aggregate_id(aggregate)})
        row = await cursor.fetchone()
    return str(row["saga_id"]) if row and row["saga_id"] else "another change"


async def _read_known(
    connection: Connection, environment: str, names: Collection[str] | None
) -> list[KnownResource]:
    values = {"environment": environment, "names": None if names is None else sorted(names)}
    cursor = await connection.execute(_KNOWN, values)
    return [_known(row) for row in await cursor.fetchall()]


def _known(row: Mapping[str, Any]) -> KnownResource:
    state = cast(ResourceState, RESOURCE.state_of(row))
    return KnownResource(
        name=state.name,
        version=row["version"],
        shape=DesiredState.of(state),
        claimed_by=state.claimed_by if row["claimed"] else None,
        changed_by=state.changed_by,
    )


@dataclass(frozen=True)
class Target:
    """The target of a rollback: before a change's first event on each resource, or a point of the
    log. Exactly one is set."""

    before_saga: str | None = None
    point: Point | None = None

    @classmethod
    def parse(cls, to: str) -> "Target":
        """Parses `before:CHANGE`, a position, or an ISO 8601 time with a zone. Raises
        ValueError."""
        if to.startswith("before:"):
            # Of a run of a schedule people may have the workflow id, which has colons.
            named = to.removeprefix("before:").replace(":", ".")
            return cls(before_saga=f"{_CHANGE}{named}")
        try:
            return cls(point=Point.parse(to))
        except ValueError as error:
            raise ValueError(f"before:CHANGE, {error}") from None

    @property
    def position(self) -> int | None:
        """The position of the point, if it was given as one."""
        return self.point.position if self.point else None

    @property
    def moment(self) -> datetime | None:
        """The time of the point, if it was given as one."""
        return self.point.moment if self.point else None


_CHANGE = "change/"
# By the operation id: the workflow id of a run of a schedule differs.
_SAGA = """
    SELECT workflow_id, input, ended_at FROM ledger.sagas
    WHERE kind = 'change' AND operation_id = %(operation_id)s"""

# Only what was touched after the point: of all else the state then is the state now.
_TOUCHED = """
    SELECT event_log.*
    FROM ledger.event_log
    WHERE aggregate_id IN (
        SELECT resources.aggregate_id FROM ledger.resources
        WHERE environment = %(environment)s
          AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s))
          AND EXISTS (
            SELECT FROM ledger.event_log AS touch
            WHERE touch.aggregate_id = resources.aggregate_id
              AND (touch.saga_id = %(before_saga)s OR touch.position > %(position)s
                   OR touch."timestamp" > %(moment)s)))
    ORDER BY aggregate, version"""


async def resources_at(
    database: Database,
    environment: str,
    to: str,
    names: Collection[str] | None = None,
    *,
    patience_s: float = BRIEFLY_S,
) -> Rewound:
    """The resources that were touched since the point `to` (see Target.parse), as they were there.

    Raises ValueError for a point that is none, NotFound for a change that the ledger does not know
    in this environment, StateRefused for one that has not ended and for a time to come, StillOpen
    for a point that is not past within `patience_s` (see `ledger.read.point_in_time`).
    """
    target = Target.parse(to)
    if target.point is not None:
        await wait_until_past(database, target.point, patience_s=patience_s)
    async with reading(database) as connection:
        past = await _read_past(connection, environment, target, names)
        mentioned = {resource.name for resource in past}
        for resource in past:
            mentioned |= resource.was.mentions() if resource.was else set()
        return Rewound(past=past, known=await _read_known(connection, environment, mentioned))


async def _read_past(
    connection: Connection, environment: str, target: Target, names: Collection[str] | None
) -> list[PastResource]:
    values = {
        "environment": environment,
        "names": None if names is None else sorted(names),
        "before_saga": target.before_saga,
        "position": target.position,
        "moment": target.moment,
    }
    if target.before_saga is not None:
        named = {"operation_id": target.before_saga.removeprefix(_CHANGE)}
        saga = await (await connection.execute(_SAGA, named)).fetchone()
        saga_id = _require_ended(target.before_saga, saga, environment)
        target, values["before_saga"] = Target(before_saga=saga_id), saga_id
    cursor = await connection.execute(_TOUCHED, values)
    return [history.past() for history in _histories(await cursor.fetchall(), target)]


def _require_ended(saga_id: str, saga: Mapping[str, Any] | None, environment: str) -> str:
    # An input leaves its defaults out, and `dev` is one. What stands there may be anything.
    asked = saga["input"] if saga else None
    is_of_it = isinstance(asked, dict) and asked.get("environment", "dev") == environment
    if saga is None or not is_of_it:
        raise NotFound(f"no {saga_id} in environment {environment} of the ledger")
    if saga["ended_at"] is None:
        raise StateRefused(f"{saga_id} has not ended: cancel it instead", "not_ended")
    return str(saga["workflow_id"])


@dataclass
class _History:
    """The fold of one resource's events, with the changes that made it what it is.

    `before` keeps, for each change, whose changes stood when it began: to take a change back is to
    return to them, also when what is taken back is itself a rollback.
    """

    name: str
    state: ResourceState | None = None
    was: DesiredState | None = None
    is_past: bool = False
    standing: list[str] = field(default_factory=list)
    before: dict[str, list[str]] = field(default_factory=dict)

    def add(self, event: Event, is_after: bool) -> None:
        if is_after and not self.is_past:
            self.is_past, self.was = True, DesiredState.of(self.state)
        self.state = evolve(self.state, event)
        if self.is_past:
            self._note(event)

    def _note(self, event: Event) -> None:
        change: str = getattr(event, "change")  # noqa: B009 - every event of a resource has one
        self.before.setdefault(change, self.standing)
        if isinstance(event, ResourceApplied | ResourceDeleted):
            if event.undoes is None:
                self.standing = [*self.standing, change]
            else:
                # What was begun before the point is not ours to return to: a change like others.
                self.standing = self.before.get(event.undoes, [change])

    def past(self) -> PastResource:
        return PastResource(name=self.name, was=self.was, changed_since=self.standing)


def _histories(rows: Sequence[Mapping[str, Any]], target: Target) -> Iterable[_History]:
    histories: dict[str, _History] = {}
    for row in rows:
        name = row["aggregate"].split("/", 2)[2]
        history = histories.setdefault(name, _History(name))
        history.add(event_in(RESOURCE, row), _is_after(row, target))
    return histories.values()


def _is_after(row: Mapping[str, Any], target: Target) -> bool:
    if target.point is None:
        return bool(row["saga_id"] == target.before_saga)
    return not target.point.covers(row)
