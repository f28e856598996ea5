"""Reads the current state of one aggregate from its state row."""

from ledger.aggregates.aggregate import State, aggregate_id
from ledger.aggregates.names import aggregate_type_of
from ledger.database import Database


async def state_of(database: Database, aggregate: str) -> State | None:
    """The current state of an aggregate, read without a lock; None if there is no such
    aggregate. Raises RowUnreadable."""
    aggregate_type = aggregate_type_of(aggregate)
    query = f"{aggregate_type.selection} WHERE aggregate_id = %(aggregate_id)s"
    async with database.connection() as connection:
        cursor = await connection.execute(query, {"aggregate_id": aggregate_id(aggregate)})
        row = await cursor.fetchone()
    return aggregate_type.state_of(row) if row else None
