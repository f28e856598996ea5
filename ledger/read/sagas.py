"""Reads the story of one saga for people."""

from dataclasses import dataclass
from typing import Any

from ledger.aggregates.names import aggregate_id
from ledger.aggregates.saga import SAGA, SagaState, saga_name
from ledger.aggregates.saga_step import STEP, StepState, step_name
from ledger.database import Connection, Database
from ledger.errors import NotFound
from ledger.read.cursors import Row, reading
from ledger.read.log import LoggedEvent, events_of_saga
from ledger.read.waits import Waiting, waits_of


@dataclass(frozen=True)
class SagaStory:
    """A saga, its steps in the order of their start, what waits in it, and all events it wrote,
    oldest first."""

    saga: SagaState
    steps: list[StepState]
    waits: list[Waiting]
    events: list[LoggedEvent]


async def sagas_named(database: Database, saga_ids: list[str]) -> dict[str, SagaState]:
    """The sagas with these workflow ids, by workflow id; one that is not in the ledger is left
    out."""
    query = f"{SAGA.selection} WHERE aggregate_id = ANY(%(ids)s)"
    values = {"ids": [aggregate_id(saga_name(saga_id)) for saga_id in saga_ids]}
    async with database.connection() as connection:
        rows = await (await connection.execute(query.encode(), values)).fetchall()
    found = [SagaState.model_validate(SAGA.state_of(row)) for row in rows]
    return {each.workflow_id: each for each in found}


async def results_of_step(
    database: Database, saga_ids: list[str], step: str
) -> dict[str, dict[str, Any]]:
    """The recorded result of one step of these sagas, by workflow id; a saga without one is left
    out."""
    query = "SELECT saga_id, result FROM ledger.saga_steps WHERE aggregate_id = ANY(%(ids)s)"
    values = {"ids": [aggregate_id(step_name(saga_id, step)) for saga_id in saga_ids]}
    async with database.connection() as connection:
        rows = await (await connection.execute(query.encode(), values)).fetchall()
    return {row["saga_id"]: row["result"] for row in rows if row["result"] is not None}


async def saga(database: Database, saga_id: str) -> SagaStory:
    """A saga by its workflow id, all of it as of one moment. Raises NotFound."""
    async with reading(database) as connection:
        row = await _row(connection, saga_id)
        steps = f"{STEP.selection} WHERE saga_id = %(saga_id)s ORDER BY ordinal"
        cursor = await connection.execute(steps.encode(), {"saga_id": saga_id})
        found = await cursor.fetchall()
        return SagaStory(
            saga=SagaState.model_validate(SAGA.state_of(row)),
            steps=[StepState.model_validate(STEP.state_of(step)) for step in found],
            waits=waits_of(row, found),
            events=await events_of_saga(connection, saga_id),
        )


async def _row(connection: Connection, saga_id: str) -> Row:
    query = f"{SAGA.selection} WHERE aggregate_id = %(id)s"
    values = {"id": aggregate_id(saga_name(saga_id))}
    row = await (await connection.execute(query.encode(), values)).fetchone()
    if row is None:
        raise NotFound(f"no saga named {saga_id!r} in the ledger")
    return row
