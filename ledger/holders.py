"""The transactions that others wait for, and those that keep the log from being maintained."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import psycopg

from ledger.database import Connection, Database
from ledger.session import connect

# Who is in the way of a session that waits for a lock, and waits for nobody: at the head of the
# queue. Any role sees the process and the names of every session. Behind a pooler, where the
# process is not known (NULL), of any session of this role that waits.
BLOCKERS = """
    WITH RECURSIVE way (pid) AS (
        SELECT unnest(pg_blocking_pids(waiting.pid)) FROM pg_stat_activity AS waiting
        WHERE waiting.pid = %(pid)s OR (%(pid)s::integer IS NULL AND wait_event_type = 'Lock'
            AND datname = current_database() AND usename = current_user)
        UNION SELECT unnest(pg_blocking_pids(pid)) FROM way
    )
    SELECT nullif(way.pid, 0) AS pid, prepared.gid AS prepared,
        coalesce(sessions.datname, prepared.database)::text AS database,
        coalesce(sessions.usename, prepared.owner)::text AS role,
        sessions.application_name AS application,
        coalesce(sessions.xact_start, prepared.prepared) AS since
    FROM way LEFT JOIN pg_stat_activity AS sessions ON sessions.pid = way.pid
    -- Which of them it is, is not told.
    LEFT JOIN LATERAL (SELECT * FROM pg_prepared_xacts AS each
        WHERE way.pid = 0 AND each.database = current_database()
        ORDER BY each.prepared LIMIT 1) AS prepared ON true
    WHERE cardinality(pg_blocking_pids(way.pid)) = 0
    ORDER BY way.pid
"""


@dataclass(frozen=True)
class OpenTransaction:
    """A write transaction that has not ended, of any database of the cluster.

    `pid` is its process, or `prepared` the name of a prepared transaction, which has none; `since`
    is when it began, where the reader may see that.
    """

    pid: int | None
    prepared: str | None
    database: str | None
    role: str | None
    application: str | None
    since: datetime | None

    def __str__(self) -> str:
        """Describes the transaction: `process 4711 (psql) of amends_worker in amends, since
        09:15:00 UTC`."""
        who = f"process {self.pid}" if self.pid else f"the prepared transaction {self.prepared!r}"
        program = f" ({self.application})" if self.application else ""
        since = f", since {self.since.isoformat(timespec='seconds')}" if self.since else ""
        return f"{who}{program} of {self.role} in {self.database}{since}"


def opened(row: Mapping[str, Any]) -> OpenTransaction:
    """The transaction of a row."""
    return OpenTransaction(**{each.name: row[each.name] for each in fields(OpenTransaction)})


class Watch:
    """Looks who is in the way, once a statement of this connection has lasted for `after_s`: when
    the server has given up the wait, it does not know any more."""

    def __init__(self, database: Database, connection: Connection, after_s: float) -> None:
        self._url = database.url
        # The number that a pooler gives is none of the server's.
        pooled = database.pooling != "session"
        self._pid = None if pooled else connection.info.backend_pid
        self._looking: asyncio.Task[str] | None = None
        self._timer = asyncio.get_running_loop().call_later(after_s, self._begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _begin(self) -> None:
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> str:
        # A connection of its own: those of the pool may all be waiting.
        with suppress(psycopg.Error):
            async with await connect(self._url, autocommit=True, connect_timeout=2) as connection:
                cursor = await connection.execute(BLOCKERS, {"pid": self._pid})
                if (row := await cursor.fetchone()) is not None:
                    return f" by {opened(row)}"
        return ""

    async def by_whom(self) -> str:
        """` by process 4711 (psql) of amends_worker in amends`; empty where nobody was seen."""
        return await self._looking if self._looking is not None else ""
