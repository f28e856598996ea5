"""Schemas on the target server. One that holds anything is dropped only when that is allowed."""

from typing import Any

from psycopg import errors, sql

from activities.providers.postgres.database import count_tables
from activities.providers.postgres.server import Session, fetch, run
from activities.providers.postgres.spec import SchemaSpec
from activities.providers.provider import Marker, Observed, ProviderRefused

READ = """
    SELECT current_database() AS database, pg_get_userbyid(nspowner) AS owner,
           obj_description(oid, 'pg_namespace') AS comment
    FROM pg_namespace WHERE nspname = %s"""


class Schema:
    """A schema; see Thing. Its sessions are in its own database."""

    def __init__(self, name: str, spec: SchemaSpec) -> None:
        self._name, self._spec = name, spec

    @property
    def place(self) -> str:
        """See Thing."""
        return self._spec.database

    async def read(self, session: Session) -> Observed | None:
        """See Thing. Fact: `tables`."""
        row = await fetch(session, READ, self._name)
        if row is None:
            return None
        marker = Marker.parse(row.pop("comment"))
        return Observed(row, marker, {"tables": await count_tables(session, self._name)})

    async def create(self, session: Session, marker: Marker) -> None:
        """See Thing."""
        async with session.transaction():
            await run(
                session,
                "CREATE SCHEMA {name} AUTHORIZATION {owner}",
                name=self._name,
                owner=self._spec.owner,
            )
            await self._mark(session, marker)

    async def alter(self, session: Session, observed: Observed, marker: Marker) -> None:
        """See Thing."""
        async with session.transaction():
            await self._mark(session, marker)
            if observed.spec["owner"] != self._spec.owner:
                await run(
                    session,
                    "ALTER SCHEMA {name} OWNER TO {owner}",
                    name=self._name,
                    owner=self._spec.owner,
                )

    async def drop(
        self, session: Session, observed: Observed | None, allow_irreversible: bool
    ) -> None:
        """Drops the schema. Refused while it holds anything, tables or not, unless irreversible is
        allowed."""
        reach = "CASCADE" if allow_irreversible else "RESTRICT"
        try:
            await run(session, "DROP SCHEMA IF EXISTS {name} " + reach, name=self._name)
        except errors.DependentObjectsStillExist as error:
            tables = await count_tables(session, self._name)
            raise ProviderRefused(
                f"schema {self._name} is not empty ({tables} tables): "
                f"dropping it needs --allow-irreversible",
                "irreversible",
            ) from error

    def outputs(self, session: Session) -> dict[str, Any]:
        """See Thing."""
        return {
            "schema": self._name,
            "database": self._spec.database,
            "host": session.info.host,
            "port": session.info.port,
        }

    async def _mark(self, session: Session, marker: Marker) -> None:
        comment = sql.Literal(str(marker))
        await run(session, "COMMENT ON SCHEMA {name} IS {text}", name=self._name, text=comment)
