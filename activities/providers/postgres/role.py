"""Roles on the target server. A role is created without a password."""

from typing import Any

from psycopg import sql

from activities.providers.postgres.server import Session, fetch, run
from activities.providers.postgres.spec import RoleSpec
from activities.providers.provider import Marker, Observed

READ = """
    SELECT rolcanlogin AS login, rolconnlimit AS connection_limit,
           shobj_description(oid, 'pg_authid') AS comment
    FROM pg_roles WHERE rolname = %s"""


class Role:
    """A role; see Thing."""

    place = None

    def __init__(self, name: str, spec: RoleSpec) -> None:
        self._name, self._spec = name, spec

    async def read(self, session: Session) -> Observed | None:
        """See Thing."""
        row = await fetch(session, READ, self._name)
        if row is None:
            return None
        marker = Marker.parse(row.pop("comment"))
        return Observed(row, marker)

    async def create(self, session: Session, marker: Marker) -> None:
        """See Thing."""
        await self._write(session, "CREATE", marker)

    async def alter(self, session: Session, observed: Observed, marker: Marker) -> None:
        """See Thing."""
        await self._write(session, "ALTER", marker)

    async def drop(
        self, session: Session, observed: Observed | None, allow_irreversible: bool
    ) -> None:
        """Drops the role. Refused while the role owns anything: PostgreSQL says what."""
        await run(session, "DROP ROLE IF EXISTS {role}", role=self._name)

    def outputs(self, session: Session) -> dict[str, Any]:
        """See Thing."""
        return {"role": self._name, "host": session.info.host, "port": session.info.port}

    async def _write(self, session: Session, verb: str, marker: Marker) -> None:
        login = "LOGIN" if self._spec.login else "NOLOGIN"
        limit = self._spec.connection_limit
        async with session.transaction():
            await run(
                session,
                verb + " ROLE {role} WITH " + login + " CONNECTION LIMIT {limit}",
                role=self._name,
                limit=limit,
            )
            comment = sql.Literal(str(marker))
            await run(session, "COMMENT ON ROLE {role} IS {text}", role=self._name, text=comment)
