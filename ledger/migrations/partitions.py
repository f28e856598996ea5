"""Creates the monthly partitions of event_log ahead of need."""

from psycopg import errors

from ledger.database import Database
from ledger.errors import DatabaseUnavailable
from ledger.holders import Watch

# The function waits at most 2 s for its lock; six tries outlast any commit and most reports.
_TRIES, _LOOK_AFTER_S = 6, 1.0
_THIS_MONTH = """
    SELECT to_regclass('ledger.event_log_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'))
        IS NOT NULL AS is_there"""


async def create_partitions(database: Database, months: int = 3) -> None:
    """Creates the partitions of this month and of `months` (0 to 24) after it. Safe to repeat.

    Commits of a month for which this was never called lock all partitions: right, but slower.

    Raises DatabaseUnavailable when the log stays locked: try again later, events still go to the
    partitions there are.
    """
    async with database.connection() as connection:
        for tries_left in reversed(range(_TRIES)):
            with Watch(database, connection, _LOOK_AFTER_S) as watch:
                try:
                    await connection.execute("SELECT ledger.create_partitions(%s)", (months,))
                    return
                except errors.LockNotAvailable:
                    if not tries_left:
                        by = await watch.by_whom()
                        raise DatabaseUnavailable(
                            f"the log stayed locked{by}, so its next partitions were not made: end "
                            "the transaction that locks it, or try again later"
                        ) from None


async def has_this_month(database: Database) -> bool:
    """Whether the log has the partition of this month. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        cursor = await connection.execute(_THIS_MONTH)
        [found] = await cursor.fetchall()
        return bool(found["is_there"])
