"""Defines the operations of each kind of thing. The guards around them are the provider's."""

from typing import Any, Protocol

from activities.providers.postgres.server import Session
from activities.providers.provider import Marker, Observed


class Thing(Protocol):
    """One role, database or schema, by name. Sessions are in the database `place`."""

    @property
    def place(self) -> str | None:
        """The database whose session reads and changes the thing; None for any."""
        ...

    async def read(self, session: Session) -> Observed | None:
        """Reads the thing; None when it does not exist."""
        ...

    async def create(self, session: Session, marker: Marker) -> None:
        """Creates the thing, marked: no thing exists under its name without its marker."""
        ...

    async def alter(self, session: Session, observed: Observed, marker: Marker) -> None:
        """Alters the observed thing so that it is as the spec says."""
        ...

    async def drop(
        self, session: Session, observed: Observed | None, allow_irreversible: bool
    ) -> None:
        """Drops the thing, and what an interrupted `create` has left; absent is fine."""
        ...

    def outputs(self, session: Session) -> dict[str, Any]:
        """The values that others need to use the thing."""
        ...
