"""Requests and answers of the activities on resources."""

from typing import Literal

from pydantic import Field, JsonValue

from activities.request import Request
from ledger.aggregates.aggregate import Event
from ledger.aggregates.resource import (
    DesiredState,
    ResourceCreated,
    ResourceDeleted,
    ResourceReplaced,
    ResourceUpdated,
    resource_name,
)
from ledger.read.environments import KnownResource, Rewound

# The reason of whoever loses a race for a resource, whenever that is found out.
CLAIMED = "claimed"


class ReadResources(Request):
    """Request for the resources that a plan needs: these names, and what depends on them."""

    environment: str
    names: list[str]


class KnownResources(Request):
    """The resources as recorded when the plan was made; `admitted` is the request of the saga,
    where this answer opened it."""

    resources: list[KnownResource]
    admitted: dict[str, JsonValue] | None = None


class ReadPast(Request):
    """Request for the resources that were touched since the point `to`; `names` limits it."""

    environment: str
    to: str
    names: list[str] | None = None


class PastResources(Rewound):
    """The resources at a point and now; `outdated` says which rules of today the ones at that point
    break, None of an answer of an older version; `admitted` is the request of the saga, where this
    answer opened it."""

    outdated: str | None = None
    admitted: dict[str, JsonValue] | None = None


class ApplyResource(Request):
    """One operation of a plan: from `before`, at the ledger's `version`, to `after`.

    `undoes` names the saga whose change this takes back.
    """

    environment: str
    name: str
    action: Literal["create", "update", "replace", "delete"]
    before: DesiredState | None
    after: DesiredState | None
    version: int
    undoes: str | None = None
    allow_irreversible: bool = False

    @property
    def aggregate(self) -> str:
        """The aggregate name of the resource."""
        return resource_name(self.environment, self.name)

    @property
    def kind(self) -> str:
        """The kind of the resource after the operation, or before a deletion."""
        shape = self.after or self.before
        assert shape is not None
        return shape.kind


class Applied(Request):
    """The outputs of a resource, which others need to use it."""

    outputs: dict[str, JsonValue] = Field(default_factory=dict)


_MADE = {"create": ResourceCreated, "update": ResourceUpdated, "replace": ResourceReplaced}
# What brings a resource back is what was done to it, the other way round.
_MADE_AGAIN = {"delete": ResourceCreated, "update": ResourceUpdated, "replace": ResourceReplaced}


def done_event(request: ApplyResource, saga_id: str, outputs: dict[str, JsonValue]) -> Event:
    """The event of an operation that was carried out."""
    if request.after is None:
        return ResourceDeleted(change=saga_id, undoes=request.undoes)
    return _MADE[request.action](
        change=saga_id, outputs=outputs, undoes=request.undoes, **vars(request.after)
    )


def undone_event(request: ApplyResource, saga_id: str, outputs: dict[str, JsonValue]) -> Event:
    """The event of an operation that the same saga undid."""
    if request.before is None:
        return ResourceDeleted(change=saga_id, undoes=saga_id)
    return _MADE_AGAIN[request.action](
        change=saga_id, outputs=outputs, undoes=saga_id, **vars(request.before)
    )
