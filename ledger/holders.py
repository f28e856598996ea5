"""The transactions that others wait for, and those that keep the log from being maintained."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from ledger.database import Connection

# Whoever reads or writes rows of a table has a weaker lock.
HOLDERS = """
    SELECT DISTINCT ON (locks.pid) locks.pid, NULL AS prepared,
        current_database()::text AS database, sessions.usename::text AS role,
        sessions.application_name AS application, sessions.xact_start AS since
    FROM pg_locks AS locks JOIN pg_stat_activity AS sessions USING (pid)
    WHERE locks.locktype = 'relation' AND locks.granted AND locks.pid <> pg_backend_pid()
        AND locks.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
        AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (locks.relation IN (to_regclass('ledger.maintenance'), to_regclass('ledger.event_log'))
            OR locks.relation IN (
            SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('ledger.event_log')))
    ORDER BY locks.pid
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


async def holders_of_the_log(connection: Connection) -> list[OpenTransaction]:
    """The transactions that keep others from making partitions: they hold the log, or maintain
    it."""
    return [opened(row) for row in await (await connection.execute(HOLDERS)).fetchall()]
