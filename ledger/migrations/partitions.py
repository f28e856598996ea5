"""Creates the monthly partitions of event_log ahead of need."""

from psycopg import errors

from ledger.database import Database
from ledger.errors import DatabaseUnavailable

# The function waits at most 2 s for its lock; six tries outlast any commit and most reports.
_TRIES = 6


async def create_partitions(database: Database, months: int = 3) -> None:
    """Creates the partitions of this month and of `months` (0 to 24) after it. Safe to repeat.

    Commits of a month for which this was never called lock all partitions: right, but slower.

    Raises DatabaseUnavailable when the log stays locked: try again later, events still go to the
    partitions there are.
    """
    async with database.connection() as connection:
        for tries_left in reversed(range(_TRIES)):
            try:
                await connection.execute("SELECT ledger.create_partitions(%s)", (months,))
                return
            except errors.LockNotAvailable:
                if not tries_left:
                    raise DatabaseUnavailable(
                        "the log stayed locked, so its next partitions were not made: end the "
                        "transaction that locks it, or try again later"
                    ) from None
