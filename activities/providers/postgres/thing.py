"""What the provider needs of each kind of thing. The guards around it are the provider's."""

from typing import Any, Protocol

from activities.providers.postgres.server import Session
from activities.providers.provider import Marker, Observed


class Thing(Protocol):
    """One role, database or schema, by name. Sessions are in the database `place`."""

    @property
    def place(self) -> str | None:
        """The database whose session reads and changes it; None for any."""
        ...

    async def read(self, session: Session) -> Observed | None:
        """As it is now; None when it does not exist."""
        ...

    async def create(self, session: Session, marker: Marker) -> None:
        """Make it, marked: it never stands under its name without its marker."""
        ...

    async def alter(self, session: Session, observed: Observed, marker: Marker) -> None:
        """Turn what was observed into what the spec says."""
        ...

    async def drop(
        self, session: Session, observed: Observed | None, allow_irreversible: bool
    ) -> None:
        """Take it away, and what an interrupted `create` has left; absent is fine."""
        ...

    def outputs(self, session: Session) -> dict[str, Any]:
        """What others need to use it."""
        ...
