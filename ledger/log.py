"""The log as it was written: event by event, in the order of their positions."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, bindparam, or_, select

from ledger.database import Connection, Database, compiled
from ledger.event_log import event_log
from ledger.noun import aggregate_id
from ledger.reading import reading, rows


class LoggedEvent(BaseModel):
    """An event with all that is known of it. `timestamp` is the database's, in UTC or local."""

    model_config = ConfigDict(frozen=True)

    position: int
    event_id: UUID
    aggregate: str
    version: int
    event_type: str
    schema_version: int
    timestamp: datetime
    user_id: str
    saga_id: str | None
    step: str | None
    payload: dict[str, Any]
    metadata: dict[str, Any]


async def log(
    database: Database,
    *,
    aggregate: str | None = None,
    saga_id: str | None = None,
    limit: int,
    after: int | None = None,
    newest_first: bool = False,
) -> list[LoggedEvent]:
    """Up to `limit` events, of one aggregate or of one saga if asked.

    `after` is the position of the last event already had: the next page in the reading direction.
    Positions become visible in the order of commits, not of numbers: whoever pages upwards at the
    end of a log that is being written to may miss an event. Raises DatabaseUnavailable.
    """
    statement, values = _query(aggregate, saga_id, after, newest_first)
    async with database.connection() as connection:
        limited = compiled(statement.limit(bindparam("limit")))
        cursor = await connection.execute(limited, values | {"limit": limit})
        return [LoggedEvent.model_validate(row) for row in await cursor.fetchall()]


async def stream(
    database: Database,
    *,
    aggregate: str | None = None,
    saga_id: str | None = None,
    after: int | None = None,
    newest_first: bool = False,
) -> AsyncGenerator[LoggedEvent, None]:
    """All events of `log`, as of one moment, in bounded memory.

    It holds a connection until it is exhausted or closed. Raises DatabaseUnavailable.
    """
    statement, values = _query(aggregate, saga_id, after, newest_first)
    async with (
        reading(database) as connection,
        aclosing(rows(connection, "log", statement, values)) as found,
    ):
        async for row in found:
            yield LoggedEvent.model_validate(row)


async def events_of_saga(connection: Connection, saga_id: str) -> list[LoggedEvent]:
    """What a saga wrote, and what was written about it from outside, oldest first."""
    own = event_log.c.aggregate_id == bindparam("own_id")
    statement = _events().where(or_(event_log.c.saga_id == bindparam("saga_id"), own))
    cursor = await connection.execute(
        compiled(statement.order_by(event_log.c.position)),
        {"saga_id": saga_id, "own_id": aggregate_id(f"saga/{saga_id}")},
    )
    return [LoggedEvent.model_validate(row) for row in await cursor.fetchall()]


def _events() -> Select[Any]:
    return select(*(event_log.c[name] for name in LoggedEvent.model_fields))


def _query(
    aggregate: str | None, saga_id: str | None, after: int | None, newest_first: bool
) -> tuple[Select[Any], dict[str, Any]]:
    position = event_log.c.position
    statement = _events().order_by(position.desc() if newest_first else position)
    values: dict[str, Any] = {}
    if aggregate is not None:
        statement = statement.where(event_log.c.aggregate_id == bindparam("aggregate_id"))
        values["aggregate_id"] = aggregate_id(aggregate)
    if saga_id is not None:
        statement = statement.where(event_log.c.saga_id == bindparam("saga_id"))
        values["saga_id"] = saga_id
    if after is not None:
        beyond = position < bindparam("after") if newest_first else position > bindparam("after")
        statement = statement.where(beyond)
        values["after"] = after
    return statement, values
