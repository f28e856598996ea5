"""Tries what a commit needs, and changes nothing: the rights on its tables, and their locks."""

from psycopg import errors

from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.database import Database, describe
from ledger.errors import DatabaseUnavailable, Unwritable

# A commit takes milliseconds: who waits longer for a table stands behind somebody who locked it.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"
# No row is written, so no position is used up; the rights, the locks and whether the server takes
# writes at all are checked as for one that is.
_APPEND = """
    INSERT INTO ledger.event_log (event_id, aggregate_id, aggregate, version, event_type,
        schema_version, "timestamp", user_id, saga_id, step, payload, metadata, hash)
    SELECT event_id, aggregate_id, aggregate, version, event_type, schema_version, "timestamp",
        user_id, saga_id, step, payload, metadata, hash
    FROM ledger.event_log WHERE false"""
_STATE = "UPDATE ledger.{0} SET version = version WHERE false"
_SPEND = "UPDATE ledger.spend_windows SET count = count WHERE false"
_STATEMENTS = {
    "event_log": _APPEND,
    **{kind.columns.name: _STATE.format(kind.columns.name) for kind in AGGREGATE_TYPES.values()},
    "spend_windows": _SPEND,
}
_REFUSED = {
    errors.LockNotAvailable: "it is locked by another session",
    errors.InsufficientPrivilege: "this role may not",
    errors.ReadOnlySqlTransaction: "the server takes no writes (a standby, or set to read only)",
    errors.QueryCanceled: "the statement was cancelled",
}


async def rehearse(database: Database) -> None:
    """Does what a commit does, for no row and taken back. Raises Unwritable, which names the table
    and the reason, and DatabaseUnavailable."""
    async with database.connection() as connection:
        await connection.begin()
        try:
            await connection.execute(_LOCK_TIMEOUT)
            for table, statement in _STATEMENTS.items():
                try:
                    await connection.execute(statement)
                except tuple(_REFUSED) as error:
                    raise Unwritable(f"ledger.{table}: {_REFUSED[type(error)]}") from None
                except errors.Error as error:
                    raise DatabaseUnavailable(f"ledger.{table}: {describe(error)}") from error
        finally:
            await connection.rollback()
