"""The connection pool of the ledger's database, opened by its user, never at import."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ledger.errors import DatabaseUnavailable

Connection = AsyncConnection[DictRow]

# The server is going away, or will not have us now: the same call may succeed later.
UNAVAILABLE = (
    psycopg.InterfaceError,
    psycopg.OperationalError,
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.TooManyConnections,
    errors.TransactionTimeout,
    PoolTimeout,
)

# Another transaction was in the way, and the server is well; psycopg calls these operational too.
RACES = (errors.SerializationFailure, errors.DeadlockDetected)


class Database:
    """Connections to one PostgreSQL database, each in autocommit: transactions are explicit."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool
        # Set by every commit; `announce`, which wakes the subscriptions, clears it.
        self.written = asyncio.Event()

    @property
    def url(self) -> str:
        """The address of the database, with the password: for another process of ours."""
        return str(self._pool.conninfo)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool. Raises DatabaseUnavailable when the pool has none to give."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except RACES:
            raise
        except UNAVAILABLE as error:
            raise DatabaseUnavailable(describe(error)) from error


@asynccontextmanager
async def open_database(
    url: str, *, size: int = 8, wait_s: float = 5.0, configure: Callable[..., Any] | None = None
) -> AsyncIterator[Database]:
    """Opens a pool of up to `size` connections; a caller waits at most `wait_s` for one.

    The database need not be up when the pool opens: each use says when it is not.
    """
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        timeout=wait_s,
        open=False,
        kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": 5},
        configure=configure,
    )
    await pool.open(wait=False)
    try:
        yield Database(pool)
    finally:
        # A server that hangs must not hold up the end of the process.
        await pool.close(timeout=2.0)


def describe(error: Exception) -> str:
    """Describes a database error without values: the class and the SQLSTATE, never the server's
    detail."""
    state = getattr(error, "sqlstate", None)
    name = type(error).__name__
    return f"PostgreSQL: {name} ({state})" if state else f"PostgreSQL: {name}"
