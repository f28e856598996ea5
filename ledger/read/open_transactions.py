"""Finds the transactions that hold back the horizon: the oldest write transaction of the whole
cluster, and those that write to the log."""

from ledger.database import Connection
from ledger.holders import OpenTransaction, opened

# Any role sees the transaction id, the process and the names of every session; when it began, only
# of its own role's sessions, or as a member of pg_read_all_stats.
_OLDEST = """
    SELECT pid, NULL AS prepared, datname::text AS database, usename::text AS role,
        application_name AS application, xact_start AS since, age(backend_xid) AS age
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL
    SELECT NULL, gid, database::text, owner::text, NULL, prepared, age(transaction)
    FROM pg_prepared_xacts
    ORDER BY age DESC LIMIT 1
"""

# Partitions too: their owner may insert into one without the log's own lock.
_WRITERS = """
    SELECT DISTINCT ON (locks.virtualtransaction) locks.virtualtransaction AS key, locks.pid,
        CASE WHEN locks.pid IS NULL THEN coalesce(prepared.gid, '') END AS prepared,
        current_database()::text AS database,
        coalesce(sessions.usename, prepared.owner)::text AS role,
        sessions.application_name AS application,
        coalesce(sessions.xact_start, prepared.prepared) AS since
    FROM pg_locks AS locks
    LEFT JOIN pg_stat_activity AS sessions ON sessions.pid = locks.pid
    LEFT JOIN pg_prepared_xacts AS prepared
        ON locks.pid IS NULL AND locks.virtualtransaction = '-1/' || prepared.transaction
    WHERE locks.locktype = 'relation' AND locks.mode = 'RowExclusiveLock' AND locks.granted
        AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (locks.relation = 'ledger.event_log'::regclass OR locks.relation IN (
            SELECT inhrelid FROM pg_inherits WHERE inhparent = 'ledger.event_log'::regclass))
    ORDER BY locks.virtualtransaction
"""


async def oldest_open_transaction(connection: Connection) -> OpenTransaction | None:
    """The write transaction that has been open for longest; None if there is none."""
    row = await (await connection.execute(_OLDEST)).fetchone()
    if row is None:
        return None
    return opened(row)


async def writers_of_the_log(connection: Connection) -> dict[str, OpenTransaction]:
    """All transactions that have written to the log, or are about to, by their virtual id.

    Whoever inserts holds this lock from before the first position is taken until after the commit
    can be seen; a prepared transaction keeps it under another id.
    """
    rows = await (await connection.execute(_WRITERS)).fetchall()
    return {row["key"]: opened(row) for row in rows}
