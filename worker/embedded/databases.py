"""Creates the roles and databases of the embedded clusters. Repeated at each start: nothing
doubles, and what a role did to itself (its password, its settings) is taken back."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from ledger.session import connect, setting_behind
from worker.embedded.errors import EmbeddedError

LEDGER_DATABASE = "amends"
MOCK_BANK_DATABASE = "mock_bank"
_LEDGER_ROLES = ("amends_owner", "amends_worker", "amends_auditor")
_MOCK_BANK_ROLE = "mock_bank"
# Of the server's 200 connections, so that none of them leaves no room for the others.
CONNECTION_LIMITS = {
    "amends_owner": 10,
    "amends_worker": 120,
    "amends_auditor": 30,
    _MOCK_BANK_ROLE: 30,
}
PROVISIONER = "amends_provisioner"
# A role can't change this one. What is sorted on disk is sorted in far less.
_TEMP_FILES = "10GB"
# Functions that are everybody's, by which a reader could store data, or end the sessions of others.
_NOT_FOR_EVERYBODY = """
    DO $$ DECLARE name regprocedure; BEGIN
        FOR name IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
            AND (proname ~ '^lo_' OR proname IN
                ('loread', 'lowrite', 'pg_cancel_backend', 'pg_terminate_backend'))
        LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name); END LOOP;
    END $$"""


async def _connect(superuser_url: str) -> AsyncConnection[Any]:
    # These servers are ours alone: what PGOPTIONS asks for is for others.
    try:
        return await connect(superuser_url, autocommit=True, options="")
    except psycopg.OperationalError as error:
        if (setting := setting_behind(error)) is None:
            raise
        raise EmbeddedError(
            f"PostgreSQL refuses the setting {setting} of this environment: correct PGTZ, "
            "PGDATESTYLE or PGCLIENTENCODING"
        ) from None


async def create_main(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Create the three roles of the ledger, the mock bank's role, and a database for each of the
    two."""
    async with await _connect(superuser_url) as connection:
        for role in (*_LEDGER_ROLES, _MOCK_BANK_ROLE):
            await _create_role(connection, role, passwords[role])
            for statement, value in (
                ("ALTER ROLE {} CONNECTION LIMIT {}", CONNECTION_LIMITS[role]),
                ("ALTER ROLE {} SET temp_file_limit = {}", _TEMP_FILES),
            ):
                await connection.execute(sql.SQL(statement).format(sql.Identifier(role), value))
        await _create_database(connection, LEDGER_DATABASE, "amends_owner", _LEDGER_ROLES)
        await _create_database(connection, MOCK_BANK_DATABASE, _MOCK_BANK_ROLE, (_MOCK_BANK_ROLE,))
        await connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
    for database in (LEDGER_DATABASE, MOCK_BANK_DATABASE):
        url = psycopg.conninfo.make_conninfo(superuser_url, dbname=database)
        async with await _connect(url) as connection:
            await connection.execute(_NOT_FOR_EVERYBODY)


async def create_target(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Create the provisioner: it makes roles and databases on the target server, and owns no
    data."""
    async with await _connect(superuser_url) as connection:
        await _create_role(connection, PROVISIONER, passwords[PROVISIONER])
        # With CREATEROLE alone it could create a role but not a database that the role owns.
        for statement in (
            "ALTER ROLE {} CREATEDB CREATEROLE",
            "ALTER ROLE {} SET createrole_self_grant = 'set, inherit'",
        ):
            await connection.execute(sql.SQL(statement).format(sql.Identifier(PROVISIONER)))


async def _create_role(connection: AsyncConnection[Any], role: str, password: str) -> None:
    name = sql.Identifier(role)
    found = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    if await found.fetchone() is None:
        await connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    # Hashed here, so that the password itself can't come into the server's log.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    )
    # PostgreSQL lets every role change its own password and settings.
    await connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, verifier.decode())
    )
    await connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
    set_in = await connection.execute(
        "SELECT datname FROM pg_db_role_setting AS each JOIN pg_database ON oid = setdatabase "
        "WHERE setrole = %s::regrole",
        (role,),
    )
    for row in await set_in.fetchall():
        reset = sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL")
        await connection.execute(reset.format(name, sql.Identifier(row["datname"])))


async def _create_database(
    connection: AsyncConnection[Any], database: str, owner: str, users: tuple[str, ...]
) -> None:
    name = sql.Identifier(database)
    found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
    if await found.fetchone() is None:
        await connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(owner))
        )
    await connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for user in users:
        await connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(user))
        )


async def clone_database(superuser_url: str, template: str, name: str, owner: str) -> None:
    """Clone the database `template`, on which no connection may be open."""
    async with await _connect(superuser_url) as connection:
        await connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(owner)
            )
        )
