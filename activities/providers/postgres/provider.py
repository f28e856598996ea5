"""The provider `postgres`: checks names and markers once, around every kind of thing."""

from typing import Any

from activities.providers.postgres.database import Database
from activities.providers.postgres.role import Role
from activities.providers.postgres.schema import Schema
from activities.providers.postgres.server import Server, lock
from activities.providers.postgres.spec import (
    KINDS,
    DatabaseSpec,
    RoleSpec,
    SchemaSpec,
    refuse_reserved,
)
from activities.providers.postgres.thing import Thing
from activities.providers.provider import Marker, Observed, ProviderRefused, Spec

# Sessions that stay connected between two calls: of so many resources at once.
KEPT = 4


class PostgresProvider:
    """Provides roles, databases and schemas on one PostgreSQL server (16 or newer); see Provider.

    The URL's role needs CREATEDB and CREATEROLE and nothing else; it may use as owners the roles
    that it created, and others once they are granted to it.
    """

    kinds = KINDS

    def __init__(self, target_url: str) -> None:
        """Connects to nothing yet."""
        self._server = Server(target_url, keep=KEPT)

    async def close(self) -> None:
        """See Closing."""
        await self._server.close()

    async def read(self, kind: str, name: str, spec: Spec) -> Observed | None:
        """See Provider. `postgres.database` and `postgres.schema` have the fact `tables`."""
        thing = self._thing(kind, name, spec)
        if not await self._has_place(thing):
            return None
        async with self._server.session(thing.place) as session:
            return await thing.read(session)

    async def apply(self, kind: str, name: str, spec: Spec, marker: Marker) -> dict[str, Any]:
        """See Provider. Returns `host` and `port` and the names to connect with."""
        thing = self._thing(kind, name, spec)
        if not await self._has_place(thing):
            raise ProviderRefused(f"database {thing.place} does not exist", "missing")
        async with self._server.session(thing.place) as session:
            await lock(session, f"{kind}/{name}")
            observed = await thing.read(session)
            if observed is None:
                await thing.create(session, marker)
            else:
                _refuse_foreign(kind, name, observed, marker.resource)
                await thing.alter(session, observed, marker)
            return thing.outputs(session)

    async def delete(
        self, kind: str, name: str, spec: Spec, *, resource: str, allow_irreversible: bool
    ) -> None:
        """See Provider."""
        thing = self._thing(kind, name, spec)
        if not await self._has_place(thing):
            return
        async with self._server.session(thing.place) as session:
            await lock(session, f"{kind}/{name}")
            observed = await thing.read(session)
            if observed is not None:
                _refuse_foreign(kind, name, observed, resource)
            await thing.drop(session, observed, allow_irreversible)

    def _thing(self, kind: str, name: str, spec: Spec) -> Thing:
        # Names are checked when they are admitted; here it guards the server whoever calls.
        try:
            refuse_reserved(name)
        except ValueError as error:
            raise ProviderRefused(f"name: {error}", "invalid_name") from error
        match kind, spec:
            case "postgres.role", RoleSpec():
                return Role(name, spec)
            case "postgres.database", DatabaseSpec():
                return Database(self._server, name, spec)
            case "postgres.schema", SchemaSpec():
                return Schema(name, spec)
            case _:
                raise ProviderRefused(f"{kind} is no kind with such a spec", "invalid_spec")

    async def _has_place(self, thing: Thing) -> bool:
        return thing.place is None or await self._server.has_database(thing.place)


def _refuse_foreign(kind: str, name: str, observed: Observed, resource: str) -> None:
    if observed.managed_by is None:
        raise ProviderRefused(f"{kind} {name} exists, not managed: import it", "not_managed")
    if observed.managed_by.resource != resource:
        owner = observed.managed_by.resource
        raise ProviderRefused(f"{kind} {name} is managed as {owner}", "not_managed")
