"""The aggregate type `resource`: the recorded state of a resource in an environment, and the change
that made it so."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import field

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent
from ledger.aggregates.columns import Column, state_columns

Json = dict[str, Any]


class ResourceChangeStarted(Event):
    """A saga claimed the resource: until the claim ends no other change touches the resource."""

    environment: str
    name: str
    kind: str
    change: str
    action: str


class ResourceApplied(Event):
    """Base of all events after which a resource is present: the whole recorded state, so a fold
    needs no more.

    `undoes` names the change that this takes back.
    """

    change: str
    kind: str
    spec: Json
    depends_on: list[str]
    outputs: Json
    undoes: str | None = None


class ResourceCreated(ResourceApplied):
    """The resource was created."""


class ResourceUpdated(ResourceApplied):
    """The resource was altered in place."""


class ResourceReplaced(ResourceApplied):
    """The resource was deleted and created anew."""


class ResourceDeleted(Event):
    """The resource was deleted. `undoes` names the change that this one undoes."""

    change: str
    undoes: str | None = None


class ResourceChangeDropped(Event):
    """The saga gave up its claim; the resource is as it was before."""

    change: str
    reason: str


class ResourceState(State):
    """The state of a resource, as a row of `ledger.resources`."""

    environment: str
    name: str
    kind: str
    state: Literal["absent", "present"]
    spec: Json | None = None
    depends_on: list[str] = field(default_factory=list)
    outputs: Json = field(default_factory=dict)
    claimed_by: str | None = None
    changed_by: str | None = None


@dataclass(frozen=True)
class DesiredState:
    """The desired or recorded state of a resource. `spec` is in the form of its kind's model."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as pydantic reads it

    kind: str
    spec: Json
    depends_on: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, state: ResourceState | None) -> "DesiredState | None":
        """The recorded state of a resource as a desired state; None for an absent resource."""
        if state is None or state.state == "absent":
            return None
        return cls(kind=state.kind, spec=state.spec or {}, depends_on=state.depends_on)

    def mentions(self) -> set[str]:
        """All texts that may name another resource: depends_on, and the texts of the spec."""
        return set(self.depends_on) | set(_texts(self.spec))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)


def evolve(state: ResourceState | None, event: Event) -> ResourceState:
    """Folds one event into the state of a resource. Raises UnknownEvent."""
    if state is None:
        if isinstance(event, ResourceChangeStarted):
            return ResourceState(
                environment=event.environment,
                name=event.name,
                kind=event.kind,
                state="absent",
                claimed_by=event.change,
            )
        raise UnknownEvent(f"{type(event).__name__} can't be the first event of a resource")
    return state.changed(**_changed(event))


def _changed(event: Event) -> Json:
    match event:
        case ResourceChangeStarted():
            return {"claimed_by": event.change}
        case ResourceApplied():
            return {
                "state": "present",
                "kind": event.kind,
                "spec": event.spec,
                "depends_on": event.depends_on,
                "outputs": event.outputs,
                "claimed_by": None,
                "changed_by": event.change,
            }
        case ResourceDeleted():
            return {
                "state": "absent",
                "spec": None,
                "depends_on": [],
                "outputs": {},
                "claimed_by": None,
                "changed_by": event.change,
            }
        case ResourceChangeDropped():
            return {"claimed_by": None}
        case _:
            raise UnknownEvent(f"{type(event).__name__} can't follow the first event of a resource")


RESOURCE = AggregateType(
    name="resource",
    columns=state_columns(
        "resources",
        Column("environment", "text", nullable=False),
        Column("name", "text", nullable=False),
        Column("kind", "text", nullable=False),
        Column("state", "text", nullable=False),
        Column("spec", "jsonb"),
        Column("depends_on", "jsonb", nullable=False),
        Column("outputs", "jsonb", nullable=False),
        Column("claimed_by", "text"),
        Column("changed_by", "text"),
    ),
    state=ResourceState,
    events=(
        ResourceChangeStarted,
        ResourceCreated,
        ResourceUpdated,
        ResourceReplaced,
        ResourceDeleted,
        ResourceChangeDropped,
    ),
    evolve=evolve,
)


def resource_name(environment: str, name: str) -> str:
    """The aggregate name of a resource: `resource/dev/shop-db`."""
    return f"resource/{environment}/{name}"
