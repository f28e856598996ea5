"""Sessions on the target server, and the meaning of its errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from activities.providers.provider import ProviderError, ProviderRefused, ProviderUnavailable
from ledger.database import within
from ledger.errors import DatabaseUnavailable
from ledger.session import set_up

Session: TypeAlias = psycopg.AsyncConnection[DictRow]

CONNECT_TIMEOUT_S = 5
# Beside those of every session (ledger.session).
SETTINGS = {
    # CREATE DATABASE copies a template and checkpoints: seconds on a slow disk, not minutes.
    "statement_timeout": "60s",
    # Another attempt at the same thing holds its lock this long at most before we try again later.
    "lock_timeout": "10s",
    # A frozen worker must not keep the lock for ever: the server ends its session.
    "idle_session_timeout": "90s",
    "idle_in_transaction_session_timeout": "30s",
    # What we create we may also give away and drop (PostgreSQL 16 and newer need this said).
    "createrole_self_grant": "set, inherit",
}
# SQLSTATEs that pass: connection, resources, shutdown, lost races. XX000 is here because
# "tuple concurrently updated" has no code of its own.
PASSING_CLASSES = ("08", "40", "53", "57", "58", "XX")
PASSING_CODES = ("55P03", "55006")
REFUSALS = {
    "42501": "not_permitted",
    "2BP01": "in_use",
    "3D000": "missing",
    "3F000": "missing",
    "42704": "missing",
}


class Server:
    """The target server behind a URL, whose database is only where sessions start from."""

    def __init__(self, url: str, keep: int = 0) -> None:
        """Keeps so many sessions connected between two calls, until `close`. Raises ValueError,
        without the value, for what is no PostgreSQL URL."""
        try:
            self._url = make_conninfo(url)
        except psycopg.ProgrammingError:
            # libpq quotes the text, and a password may stand in it
            raise ValueError("not a PostgreSQL URL") from None
        # In the URL's own database: a new session takes both sides longer than most of what is done
        # in it. The server ends one that nobody wants for long.
        self._keep, self._idle = keep, list[Session]()

    async def close(self) -> None:
        """Closes the sessions that are kept."""
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def session(self, database: str | None = None) -> AsyncIterator[Session]:
        """Gives a session for one call, in autocommit, in `database` or in the URL's own.

        Raises ProviderUnavailable, ProviderRefused for whatever PostgreSQL raises inside.
        """
        kept = False
        try:
            known = await self._known() if database is None else None
            session = known or await self._connect(database)
            try:
                yield session
                if database is None and self._keep:
                    await session.execute("SELECT pg_advisory_unlock_all()")
                    if len(self._idle) < self._keep:
                        self._idle.append(session)
                        kept = True
            finally:
                if not kept:
                    await session.close()
        except psycopg.Error as error:
            raise meaning_of(error) from error

    async def _known(self) -> Session | None:
        """A session of an earlier call that still answers; where one does not, the others go with
        it."""
        if not self._idle:
            return None
        session = self._idle.pop()
        try:
            await within(CONNECT_TIMEOUT_S, session, session.execute("SELECT"))
        except (psycopg.Error, DatabaseUnavailable):
            await session.close()
            await self.close()
            return None
        except BaseException:
            await session.close()
            raise
        return session

    async def _connect(self, database: str | None) -> Session:
        place = {} if database is None else {"dbname": database}
        conninfo = make_conninfo(
            self._url, connect_timeout=CONNECT_TIMEOUT_S, application_name="amends", **place
        )
        session = await psycopg.AsyncConnection[DictRow].connect(
            conninfo, autocommit=True, row_factory=dict_row
        )
        try:
            await set_up(session, SETTINGS)
        except BaseException:
            await session.close()
            raise
        return session

    async def has_database(self, name: str) -> bool:
        """Whether the server has a database of that name."""
        async with self.session() as session:
            found = await fetch(session, "SELECT 1 FROM pg_database WHERE datname = %s", name)
            return found is not None


async def fetch(session: Session, query: str, *values: Any) -> DictRow | None:
    """The first row of a query, or None."""
    return await (await session.execute(query, values)).fetchone()


async def run(session: Session, statement: str, **parts: str | int | sql.Composable) -> None:
    """Runs a statement that takes no parameters: a str is put in as an identifier, an int as it is.

    Texts go in as `sql.Literal`.
    """
    quoted = {
        name: sql.Identifier(part)
        if isinstance(part, str)
        else sql.Literal(part)
        if isinstance(part, int)
        else part
        for name, part in parts.items()
    }
    await session.execute(sql.SQL(statement).format(**quoted))


async def lock(session: Session, name: str) -> None:
    """Locks the name until the session's call ends, so that attempts at one thing come one by one.

    It also waits for the statement that a killed worker has left running on the server.
    """
    await session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"amends {name}"])


def meaning_of(error: psycopg.Error) -> ProviderError:
    """Converts an error of PostgreSQL into an error of the provider."""
    state = error.sqlstate
    if state is None or state.startswith(PASSING_CLASSES) or state in PASSING_CODES:
        return ProviderUnavailable(_sentence(error))
    return ProviderRefused(_sentence(error), REFUSALS.get(state, "refused"))


def _sentence(error: psycopg.Error) -> str:
    said = [error.diag.message_primary or str(error), error.diag.message_detail]
    return "the target server: " + ": ".join(" ".join(part.split()) for part in said if part)
