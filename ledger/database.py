"""The connection pool of the ledger's database, opened by its user, never at import.

With the pooling `session` a connection has a session of the server to itself. Behind a pooler in
transaction mode each transaction may get another session, with settings of somebody else: there
every transaction sets what it relies on, in its own round trip, and every statement is one.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal, Self, TypeVar, get_args

import psycopg
from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor, errors, sql
from psycopg.abc import Params, Query
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ledger.errors import DatabaseUnavailable, EndedBySetting, NoRoom
from ledger.session import in_one_transaction, set_up, setting_behind, shortage
from ledger.signing import ANYBODY, Signing
from ledger.unreadable import read_carefully

T = TypeVar("T")
_log = logging.getLogger("amends.ledger")

# How the sessions of a server come to its clients: `transaction` is PgBouncer's, with prepared
# statements (1.22 or newer, max_prepared_statements above 0), or without.
Pooling = Literal["session", "transaction", "transaction-unprepared"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)

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

# Both are said: what a session of a pooler has for a default is not known.
_READS = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_WRITES = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
# Whoever writes calls it first: the server behind the address may have become a restored one.
# A commit takes milliseconds: in a queue of all 120 sessions of the workers nobody waits for so
# long. Less than the 10 s after which the server ends a transaction of ours, and names nobody.
_OF_WRITERS = {"lock_timeout": "8s"}
_RECORD_INCARNATION = "ledger.record_incarnation()"


@dataclass
class _Attempts:
    """The outcome of the attempts to connect: the pool itself keeps no error."""

    made: asyncio.Event = field(default_factory=asyncio.Event)
    connected: bool = False
    # Of the last one, where the cause is known. A setting is not mended by another try.
    refused: EndedBySetting | NoRoom | None = None


@dataclass(frozen=True)
class _Manner:
    """How a database is opened; see `open_database`."""

    pooling: Pooling
    writes: bool
    attempts: _Attempts


class Connection(AsyncConnection[DictRow]):
    """A connection of the pool, in autocommit. `begin` begins a transaction; a statement outside
    of one is a transaction of its own."""

    # Where a pooler gives each transaction another session: what is set first in each of them.
    _reading: str | None = None
    _writing: str | None = None

    @classmethod
    async def connect(cls, conninfo: str = "", **how: Any) -> Self:
        """Connects, with the settings in force. Used by the pool."""
        manner: _Manner = how.pop("manner")
        try:
            connection = await super().connect(conninfo, **how)
            try:
                await connection._set_up(manner)
            except BaseException:
                await connection.close()
                raise
        except psycopg.Error as error:
            failed = failure(error)
            manner.attempts.refused = (
                failed if isinstance(failed, EndedBySetting | NoRoom) else None
            )
            manner.attempts.made.set()
            raise
        manner.attempts.connected, manner.attempts.refused = True, None
        manner.attempts.made.set()
        return connection

    async def _set_up(self, manner: _Manner) -> None:
        read_carefully(self)
        # A pooler keeps those that the server reports (TimeZone, ...) for each client.
        more = _OF_WRITERS if manner.writes else None
        await set_up(self, more)
        if manner.pooling == "session":
            if manner.writes:
                await self.execute(f"SELECT {_RECORD_INCARNATION}")
            return
        self._reading = self._writing = in_one_transaction(self.info.server_version, more)
        if manner.writes:
            self._writing += f", {_RECORD_INCARNATION}"

    async def begin(self, *, read_only: bool = False, snapshot: str | None = None) -> None:
        """Begins a transaction: REPEATABLE READ for a reader, as of an exported `snapshot` where
        one is given; else READ COMMITTED."""
        first, begin = (self._reading, _READS) if read_only else (self._writing, _WRITES)
        async with AsyncExitStack() as stack:
            if (first or snapshot) and self.info.pipeline_status == PipelineStatus.OFF:
                await stack.enter_async_context(self.pipeline())
            await super().execute(begin)
            if snapshot is not None:
                await super().execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
            if first is not None:
                await super().execute(first)

    async def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool = False,
    ) -> AsyncCursor[DictRow]:
        """Executes a statement, as psycopg does."""
        run: Callable[..., Awaitable[AsyncCursor[DictRow]]] = super().execute
        return await self._whole(lambda: run(query, params, prepare=prepare, binary=binary))

    async def execute_raw(self, text: str, values: list[str | None]) -> AsyncRawCursor[Any]:
        """Executes a statement with `$1`, prepared where the pooling allows that; its rows are
        tuples."""
        cursor = AsyncRawCursor(self, row_factory=tuple_row)
        return await self._whole(lambda: cursor.execute(text, values, prepare=True))

    async def _whole(self, run: Callable[[], Awaitable[T]]) -> T:
        """Runs a statement, in a transaction of its own where it needs one and there is none."""
        if self._writing is None or self._is_inside():
            return await run()
        try:
            async with self.pipeline():
                await self.begin()
                result = await run()
                await super().execute("COMMIT")
            return result
        except psycopg.Error:
            with suppress(psycopg.Error):
                await self.rollback()
            raise

    def _is_inside(self) -> bool:
        return (
            self.info.transaction_status != TransactionStatus.IDLE
            or self.info.pipeline_status != PipelineStatus.OFF
        )


class Database:
    """Connections to one PostgreSQL database, each in autocommit: transactions are explicit."""

    def __init__(
        self, pool: AsyncConnectionPool[Connection], manner: _Manner, signing: Signing = ANYBODY
    ) -> None:
        self._pool, self._attempts = pool, manner.attempts
        self.pooling: Pooling = manner.pooling
        # By which rules the writers here take what they are asked.
        self.signing = signing
        # Set by every commit; `announce`, which wakes the subscriptions, clears it.
        self.written = asyncio.Event()
        # Told, in a sentence, of each row or event that a reader left out since it can't be read.
        self.note: Callable[[str], None] = _log.warning

    @property
    def url(self) -> str:
        """The address of the database, with the password: for another process of ours."""
        return str(self._pool.conninfo)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool. Raises DatabaseUnavailable when the pool has none to give, and
        EndedBySetting or NoRoom where that is the cause."""
        left_s = None if self._attempts.connected else await self._first_attempt()
        try:
            async with self._pool.connection(timeout=left_s) as connection:
                yield connection
        except RACES:
            raise
        except psycopg.Error as error:
            if isinstance(error, PoolTimeout) and self._attempts.refused is not None:
                raise self._attempts.refused from error
            if isinstance(error, UNAVAILABLE) or setting_behind(error) is not None:
                raise failure(error) from error
            raise

    async def _first_attempt(self) -> float:
        """Waits for the first attempt to connect; returns the time that is left for others."""
        # The pool would try for its whole time, and say nothing of the cause.
        began = monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pool.timeout):
                await self._attempts.made.wait()
        if isinstance(self._attempts.refused, EndedBySetting):
            raise self._attempts.refused
        return max(self._pool.timeout - (monotonic() - began), 0.001)


@asynccontextmanager
async def open_database(
    url: str,
    *,
    size: int = 8,
    wait_s: float = 5.0,
    pooling: Pooling = "session",
    writes: bool = False,
    signing: Signing = ANYBODY,
) -> AsyncIterator[Database]:
    """Opens a pool of up to `size` connections; a caller waits at most `wait_s` for one.

    `writes`: whether events are written, which begins a new incarnation where the ledger was
    restored; `signing`: whether what they are asked for must be signed. The database need not be up
    when the pool opens: each use says when it is not.
    """
    manner = _Manner(pooling, writes, _Attempts())
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        url,
        connection_class=Connection,
        min_size=1,
        max_size=size,
        timeout=wait_s,
        open=False,
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "connect_timeout": 5,
            "manner": manner,
            **_of_pooling(url, pooling),
        },
    )
    await pool.open(wait=False)
    try:
        yield Database(pool, manner, signing)
    finally:
        # A server that hangs must not hold up the end of the process.
        await pool.close(timeout=0.5)


async def within(seconds: float | None, connection: AsyncConnection[Any], work: Awaitable[T]) -> T:
    """The result of `work` on this connection. A server that hangs is waited for no longer than
    `seconds`, nor after a cancellation. Raises DatabaseUnavailable."""
    working = asyncio.ensure_future(work)
    try:
        if not (await asyncio.wait({working}, timeout=seconds))[0]:
            raise DatabaseUnavailable(f"PostgreSQL: no answer within {seconds:g} s")
    except BaseException:
        # The driver, cancelled, would wait for the server, and so would a rollback.
        _hang_up(connection)
        await asyncio.wait({working})
        raise
    return working.result()


def _hang_up(connection: AsyncConnection[Any]) -> None:
    """Ends a connection without a word to the server: whatever waits on it fails at once."""
    if not connection.closed:
        # Of its socket a copy: closed under the driver, its number could come to stand for another.
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


def _of_pooling(url: str, pooling: Pooling) -> dict[str, Any]:
    if pooling == "session":
        return {}
    how: dict[str, Any] = {"prepare_threshold": None} if pooling != "transaction" else {}
    # A pooler refuses `options`: those of PGOPTIONS, which are not meant for it, are not sent. What
    # is wrong with the address is said when it is used.
    with suppress(psycopg.ProgrammingError):
        if not conninfo_to_dict(url).get("options"):
            how["options"] = ""
    return how


def failure(error: Exception) -> DatabaseUnavailable:
    """The error of the ledger for one of the driver, without values."""
    if (setting := setting_behind(error)) is not None:
        return EndedBySetting(
            f"{describe(error)}: the setting {setting} is in the way; change it where it is set: "
            "the address, PGOPTIONS and its like, ALTER ROLE, ALTER DATABASE, the server, the "
            "pooler",
            setting,
        )
    if (sentence := shortage(error)) is not None:
        return NoRoom(sentence)
    return DatabaseUnavailable(describe(error))


def describe(error: Exception) -> str:
    """Describes a database error without values: the class and the SQLSTATE, never the server's
    detail."""
    state = getattr(error, "sqlstate", None)
    name = type(error).__name__
    return f"PostgreSQL: {name} ({state})" if state else f"PostgreSQL: {name}"
