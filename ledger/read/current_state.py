"""Reads the current state of one aggregate from its state row."""

from sqlalchemy import bindparam, select

from ledger.aggregates.aggregate import State, aggregate_id
from ledger.aggregates.registry import aggregate_type_of
from ledger.database import Database, compiled


async def state_of(database: Database, aggregate: str) -> State | None:
    """The current state of an aggregate, read without a lock; None if there is no such
    aggregate."""
    aggregate_type = aggregate_type_of(aggregate)
    found = aggregate_type.table.c.aggregate_id == bindparam("aggregate_id")
    async with database.connection() as connection:
        cursor = await connection.execute(
            compiled(select(aggregate_type.table).where(found)),
            {"aggregate_id": aggregate_id(aggregate)},
        )
        row = await cursor.fetchone()
    return aggregate_type.state_of(row) if row else None
