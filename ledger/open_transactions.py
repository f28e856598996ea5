"""Who holds up what may be read as final: the oldest write transaction of the whole cluster."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from ledger.database import Connection

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


class OpenTransaction(BaseModel):
    """A write transaction that has not ended, of any database of the cluster.

    `pid` is its process, or `prepared` the name of a prepared transaction, which has none; `since`
    is when it began, where the reader may see that.
    """

    model_config = ConfigDict(frozen=True)

    pid: int | None
    prepared: str | None
    database: str | None
    role: str | None
    application: str | None
    since: datetime | None

    def __str__(self) -> str:
        """For a person: `process 4711 (psql) of amends_worker in amends, since 09:15:00 UTC`."""
        who = f"process {self.pid}" if self.pid else f"the prepared transaction {self.prepared!r}"
        program = f" ({self.application})" if self.application else ""
        since = f", since {self.since.isoformat(timespec='seconds')}" if self.since else ""
        return f"{who}{program} of {self.role} in {self.database}{since}"


async def oldest_open_transaction(connection: Connection) -> OpenTransaction | None:
    """The write transaction that has been open for longest; None if there is none."""
    row = await (await connection.execute(_OLDEST)).fetchone()
    if row is None:
        return None
    return OpenTransaction.model_validate(
        {name: row[name] for name in OpenTransaction.model_fields}
    )
