"""Defines what an infrastructure provider does for a saga: read, apply and delete a real thing.

ProviderError
├── ProviderUnavailable   not reached, or cut off: read or repeat it, later
└── ProviderRefused       it says no, for a `reason`: a person or another plan has to help
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict

from ledger.words import recordable


class ProviderError(Exception):
    """Root of the providers' errors."""


class ProviderUnavailable(ProviderError):
    """The real thing could not be reached, is busy, or the call was cut off. Repeat it later, in
    `again_in_s` seconds where the provider says when.

    A call that was cut off may have landed. `apply` and `delete` are idempotent, so repeating
    needs no look first; whoever gives up instead has to undo as if it had landed.
    """

    def __init__(self, message: str, again_in_s: float | None = None) -> None:
        super().__init__(message)
        self.again_in_s = again_in_s


class ProviderRefused(ProviderError):
    """The provider refused, and repeating can't help. Nothing was changed.

    `reason` is a word that a program may compare:
    invalid_name, invalid_spec   the request itself is wrong
    not_managed     it exists and is not ours: import it, or choose another name
    irreversible    data would be lost: repeat with `allow_irreversible` if that is meant
    in_use          others depend on it or are connected to it
    missing         something that it needs does not exist
    not_permitted   the provider's own account may not do it
    refused         anything else that the real thing said no to
    The message is cut where it is longer than what the ledger takes.
    """

    def __init__(self, message: str, reason: str = "refused") -> None:
        super().__init__(recordable(message))
        self.reason = reason


@dataclass(frozen=True)
class Marker:
    """The marker on a real thing: which resource it is, and the change that last wrote it.

    `resource` and `change` are names of the ledger (`resource/dev/shop-db`, `change/shop-42`).
    """

    resource: str
    change: str

    def __str__(self) -> str:
        return f"amends: {self.resource} by {self.change}"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Parses the text of a marker; None for any other text."""
        found = re.fullmatch(r"amends: (\S+) by (\S+)", text or "")
        return cls(found[1], found[2]) if found else None


class Spec(BaseModel):
    """The desired state of a thing of one kind. Each kind has its own model.

    `identity` names the fields that say which thing it is: to change one is to replace the thing.
    `references` names the fields that hold the name of another resource.
    `holds_data`: what is deleted with such a thing, no undo brings back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    identity: ClassVar[frozenset[str]] = frozenset()
    references: ClassVar[frozenset[str]] = frozenset()
    holds_data: ClassVar[bool] = False

    @classmethod
    def check_name(cls, name: str) -> str:
        """Checks the name of a thing of this kind and returns it unchanged. Raises ValueError with
        the reason."""
        raise NotImplementedError


@dataclass(frozen=True)
class Observed:
    """A real thing as observed at the provider.

    spec         in the shape of the kind's model, but not checked by it: a real thing may be
                 what no spec may ask for
    managed_by   its marker; None when it is not ours
    facts        what a plan should say about it, such as `tables` (a count)
    """

    spec: Mapping[str, Any]
    managed_by: Marker | None
    facts: Mapping[str, int] = field(default_factory=dict)


class Provider(Protocol):
    """A system that holds things of some kinds. Every call may be repeated."""

    @property
    def kinds(self) -> Mapping[str, type[Spec]]:
        """The model of the spec, by kind."""
        ...

    async def read(self, kind: str, name: str, spec: Spec) -> Observed | None:
        """Reads the real thing; None when it does not exist. `spec` says where to look.

        Raises ProviderUnavailable, ProviderRefused.
        """
        ...

    async def apply(self, kind: str, name: str, spec: Spec, marker: Marker) -> dict[str, Any]:
        """Creates or alters the thing so that it is as the spec says, and marks it.

        Refuses a thing that exists without the marker of this resource. Returns what others need
        to use it (JSON values, no secrets). Raises ProviderUnavailable, ProviderRefused.
        """
        ...

    async def delete(
        self, kind: str, name: str, spec: Spec, *, resource: str, allow_irreversible: bool
    ) -> None:
        """Deletes the thing; absent is fine.

        Refuses a thing without the marker of this resource, and, unless `allow_irreversible`, one
        whose data would be lost. Raises ProviderUnavailable, ProviderRefused.
        """
        ...


class Closing(Protocol):
    """A provider that keeps something open between two calls."""

    async def close(self) -> None:
        """Closes what is kept, at the end of the worker; a later call may open it again."""
        ...
