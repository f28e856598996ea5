"""A resource of an environment: what it shall be, and which change made it so."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Column, Text
from sqlalchemy.dialects.postgresql import JSONB

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, state_table

Json = dict[str, Any]


class ResourceChangeStarted(Event):
    """A saga claims the resource: until it lets go no other change touches it."""

    environment: str
    name: str
    kind: str
    change: str
    action: str


class ResourceApplied(Event):
    """The base of what makes a resource be: the whole of what it is now, so a fold needs no more.

    `undoes` names the change that this takes back.
    """

    change: str
    kind: str
    spec: Json
    depends_on: list[str]
    outputs: Json
    undoes: str | None = None


class ResourceCreated(ResourceApplied):
    """It did not exist, and now it does."""


class ResourceUpdated(ResourceApplied):
    """It was altered in place."""


class ResourceReplaced(ResourceApplied):
    """It was deleted and created anew."""


class ResourceDeleted(Event):
    """It is gone. `undoes` names the change that this takes back."""

    change: str
    undoes: str | None = None


class ResourceChangeDropped(Event):
    """The saga lets go of the resource, which is as it was before."""

    change: str
    reason: str


class ResourceState(State):
    """The state of a resource: a row of its table."""

    environment: str
    name: str
    kind: str
    state: Literal["absent", "present"]
    spec: Json | None = None
    depends_on: list[str] = Field(default_factory=list)
    outputs: Json = Field(default_factory=dict)
    claimed_by: str | None = None
    changed_by: str | None = None


class DesiredState(State):
    """What a resource shall be or is. `spec` is as its kind's model writes it."""

    kind: str
    spec: Json
    depends_on: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, state: ResourceState | None) -> "DesiredState | None":
        """The shape a resource has in this state; None for an absent one."""
        if state is None or state.state == "absent":
            return None
        return cls(kind=state.kind, spec=state.spec or {}, depends_on=state.depends_on)

    def mentions(self) -> set[str]:
        """All that may be the name of another resource: depends_on, and the texts of the spec."""
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
    """Fold one event into the state of a resource. Raises UnknownEvent."""
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
    return state.model_copy(update=_changed(event))


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
            raise UnknownEvent(f"{type(event).__name__} is no event of a resource")


RESOURCE = AggregateType(
    name="resource",
    table=state_table(
        "resources",
        Column("environment", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("spec", JSONB(none_as_null=True)),
        Column("depends_on", JSONB, nullable=False),
        Column("outputs", JSONB, nullable=False),
        Column("claimed_by", Text),
        Column("changed_by", Text),
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
    """The aggregate of a resource: `resource/dev/shop-db`."""
    return f"resource/{environment}/{name}"
