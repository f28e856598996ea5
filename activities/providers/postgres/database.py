"""Databases on the target server. One that holds a table is dropped only when that is allowed."""

from hashlib import sha256
from typing import Any

from psycopg import errors, sql

from activities.providers.postgres.server import Server, Session, fetch, run
from activities.providers.postgres.spec import DatabaseSpec
from activities.providers.provider import (
    Marker,
    Observed,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)

READ = """
    SELECT pg_get_userbyid(datdba) AS owner, datconnlimit AS connection_limit,
           shobj_description(oid, 'pg_database') AS comment
    FROM pg_database WHERE datname = %s"""
# Ordinary, partitioned, materialized and foreign: all that a person would miss.
COUNT_TABLES = """
    SELECT count(*) AS tables
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'm', 'f') AND nspname <> 'information_schema'
      AND nspname NOT LIKE 'pg\\_%%' AND (%s::text IS NULL OR nspname = %s)"""

OTHER_ROLES = """
    SELECT string_agg(DISTINCT usename, ', ') AS roles
    FROM pg_stat_activity WHERE datname = %s AND usename IS NOT NULL"""


async def count_tables(session: Session, schema: str | None = None) -> int:
    """Counts the tables in the session's database, of all users' schemas or of one."""
    row = await fetch(session, COUNT_TABLES, schema, schema)
    assert row is not None  # an aggregate always has a row
    return int(row["tables"])


class Database:
    """A database; see Thing."""

    place = None

    def __init__(self, server: Server, name: str, spec: DatabaseSpec) -> None:
        self._server, self._name, self._spec = server, name, spec
        self._making = f"amends_making_{sha256(name.encode()).hexdigest()[:16]}"

    async def read(self, session: Session) -> Observed | None:
        """See Thing. Fact: `tables`."""
        row = await fetch(session, READ, self._name)
        if row is None:
            return None
        marker = Marker.parse(row.pop("comment"))
        async with self._server.session(self._name) as inside:
            return Observed(row, marker, {"tables": await count_tables(inside)})

    async def create(self, session: Session, marker: Marker) -> None:
        """See Thing."""
        # CREATE DATABASE takes no transaction, so a crash after it would leave a database without
        # a marker. It is made under a name of ours; marker and name then come in one commit.
        await self._drop_making(session)
        await run(
            session,
            # template0: a new database is empty, whatever someone put into template1.
            "CREATE DATABASE {making} OWNER {owner} TEMPLATE template0 CONNECTION LIMIT {limit}",
            making=self._making,
            owner=self._spec.owner,
            limit=self._spec.connection_limit,
        )
        async with session.transaction():
            await self._mark(session, self._making, marker)
            await run(
                session,
                "ALTER DATABASE {making} RENAME TO {name}",
                making=self._making,
                name=self._name,
            )

    async def alter(self, session: Session, observed: Observed, marker: Marker) -> None:
        """See Thing."""
        async with session.transaction():
            await run(
                session,
                "ALTER DATABASE {name} CONNECTION LIMIT {limit}",
                name=self._name,
                limit=self._spec.connection_limit,
            )
            await self._mark(session, self._name, marker)
            if observed.spec["owner"] != self._spec.owner:
                await run(
                    session,
                    "ALTER DATABASE {name} OWNER TO {owner}",
                    name=self._name,
                    owner=self._spec.owner,
                )

    async def drop(
        self, session: Session, observed: Observed | None, allow_irreversible: bool
    ) -> None:
        """Drops the database. Refused while it holds tables or a session is connected, unless
        irreversible is allowed.

        Without FORCE, PostgreSQL waits five seconds for others to leave and then refuses, so no
        session can fill the database while it is dropped. What remains: one that connects, creates
        a table and leaves between the count and the drop, some milliseconds.
        """
        await self._drop_making(session)
        tables = observed.facts["tables"] if observed else 0
        if tables and not allow_irreversible:
            raise ProviderRefused(
                f"database {self._name} holds {tables} tables: "
                f"dropping it needs --allow-irreversible",
                "irreversible",
            )
        force = " WITH (FORCE)" if allow_irreversible else ""
        try:
            await run(session, "DROP DATABASE IF EXISTS {name}" + force, name=self._name)
        except errors.ObjectInUse as error:
            raise ProviderRefused(
                f"database {self._name} is in use ({error.diag.message_detail}): "
                f"end the sessions, or use --allow-irreversible",
                "in_use",
            ) from error
        except errors.InsufficientPrivilege as error:
            if error.diag.source_function != "TerminateOtherDBBackends":
                raise
            raise await self._held_by_others(session) from error

    async def _held_by_others(self, session: Session) -> ProviderError:
        """Why FORCE could not end a session: it belongs to a role of higher rights, or to no role:
        an autovacuum worker, which leaves by itself."""
        row = await fetch(session, OTHER_ROLES, self._name)
        roles = row["roles"] if row else None
        if roles:
            return ProviderRefused(
                f"database {self._name} is in use by sessions that the provider's role may not "
                f"end (of {roles}): end them",
                "in_use",
            )
        return ProviderUnavailable(f"database {self._name} is being vacuumed", again_in_s=1)

    def outputs(self, session: Session) -> dict[str, Any]:
        """See Thing."""
        return {"database": self._name, "host": session.info.host, "port": session.info.port}

    async def _drop_making(self, session: Session) -> None:
        await run(session, "DROP DATABASE IF EXISTS {making}", making=self._making)

    async def _mark(self, session: Session, name: str, marker: Marker) -> None:
        comment = sql.Literal(str(marker))
        await run(session, "COMMENT ON DATABASE {name} IS {text}", name=name, text=comment)
