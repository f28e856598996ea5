"""Reads single aggregates and lists of sagas for people: state folded from events, stories,
names."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ARRAY, Uuid, any_, bindparam, false, or_, select, union_all

from ledger.aggregates.agent import AGENT, AgentState
from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.policy import policy_name
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.saga import SAGA, SagaState, saga_name
from ledger.aggregates.saga_step import STEP, StepState
from ledger.database import Connection, Database, compiled
from ledger.errors import Ambiguous, NotFound
from ledger.read.cursors import reading
from ledger.read.fold import fold, never_was
from ledger.read.log import LoggedEvent, events_of_saga
from ledger.read.point_in_time import PATIENCE_S, Explain, Point, in_silence, wait_until_past

# By these columns a person may call an aggregate. A policy is called by its full name: its agent
# has the same id.
_BARE_NAMES = {
    "saga": "operation_id",
    "agent": "agent_id",
    "resource": "name",
    "authorization": "authorization_id",
    "transfer": "transfer_id",
}
_PREFIXES = tuple(name for name in AGGREGATE_TYPES if name != "policy")


class Shown(BaseModel):
    """An aggregate folded from its events: `version` events, the last at `head_at`."""

    model_config = ConfigDict(frozen=True)

    aggregate: str
    version: int
    head_at: datetime
    state: dict[str, Any]


class SagaStory(BaseModel):
    """A saga, its steps in the order of their start, and all events it wrote, oldest first."""

    model_config = ConfigDict(frozen=True)

    saga: SagaState
    steps: list[StepState]
    events: list[LoggedEvent]


async def show(
    database: Database,
    aggregate: str,
    at: Point | None = None,
    *,
    patience_s: float = PATIENCE_S,
    explain: Explain = in_silence,
) -> Shown:
    """The state of an aggregate, folded from its events: now, or at a point of the past.

    What it says of the past is the same for ever (see `read.point_in_time`, also for
    `patience_s`, `explain`, StillOpen and StateRefused). Raises NotFound,
    UnknownEvent for an event of a newer version, DatabaseUnavailable.
    """
    if at is not None:
        await wait_until_past(database, at, patience_s=patience_s, explain=explain)
    async with reading(database) as connection:
        folded = await fold(connection, aggregate, at)
        if folded is None:
            raise await never_was(connection, aggregate, at)
    return Shown(
        aggregate=aggregate,
        version=folded.version,
        head_at=folded.head_at,
        state=folded.state.model_dump(mode="json"),
    )


async def sagas(database: Database, *, open_only: bool = False, limit: int) -> list[SagaState]:
    """The newest `limit` sagas, or those of them that have not ended."""
    table = SAGA.table.c
    statement = select(SAGA.table).order_by(table.started_at.desc(), table.aggregate)
    if open_only:
        statement = statement.where(table.ended_at.is_(None))
    async with database.connection() as connection:
        limited = compiled(statement.limit(bindparam("limit")))
        cursor = await connection.execute(limited, {"limit": limit})
        return [SagaState.model_validate(SAGA.state_of(row)) for row in await cursor.fetchall()]


async def sagas_named(database: Database, saga_ids: list[str]) -> dict[str, SagaState]:
    """The sagas with these workflow ids, by workflow id; one that is not in the ledger is left
    out."""
    ids = any_(bindparam("ids", type_=ARRAY(Uuid)))
    statement = compiled(select(SAGA.table).where(SAGA.table.c.aggregate_id == ids))
    values = {"ids": [aggregate_id(saga_name(saga_id)) for saga_id in saga_ids]}
    async with database.connection() as connection:
        rows = await (await connection.execute(statement, values)).fetchall()
    found = [SagaState.model_validate(SAGA.state_of(row)) for row in rows]
    return {each.workflow_id: each for each in found}


async def saga(database: Database, saga_id: str) -> SagaStory:
    """A saga by its workflow id, all of it as of one moment. Raises NotFound."""
    async with reading(database) as connection:
        state = await _saga_state(connection, saga_id)
        steps = select(STEP.table).where(STEP.table.c.saga_id == bindparam("saga_id"))
        cursor = await connection.execute(
            compiled(steps.order_by(STEP.table.c.ordinal)), {"saga_id": saga_id}
        )
        return SagaStory(
            saga=state,
            steps=[StepState.model_validate(STEP.state_of(row)) for row in await cursor.fetchall()],
            events=await events_of_saga(connection, saga_id),
        )


async def _saga_state(connection: Connection, saga_id: str) -> SagaState:
    statement = select(SAGA.table).where(SAGA.table.c.aggregate_id == bindparam("id"))
    values = {"id": aggregate_id(saga_name(saga_id))}
    row = await (await connection.execute(compiled(statement), values)).fetchone()
    if row is None:
        raise NotFound(f"no saga named {saga_id!r} in the ledger")
    return SagaState.model_validate(SAGA.state_of(row))


async def policy(database: Database, agent_id: str) -> Shown:
    """The policy of an agent; its `version` is the one that decisions name. Raises NotFound."""
    return await show(database, policy_name(agent_id))


async def agents(database: Database) -> list[AgentState]:
    """All agents, by name."""
    async with database.connection() as connection:
        statement = select(AGENT.table).order_by(AGENT.table.c.agent_id)
        cursor = await connection.execute(compiled(statement))
        return [AgentState.model_validate(AGENT.state_of(row)) for row in await cursor.fetchall()]


async def resolve_id(database: Database, text: str) -> str:
    """Finds the full name of the aggregate that a person calls `text`.

    An aggregate name (`agent/expense-bot`) means itself; else a name without its type (a workflow
    id, `dev/shop-db`), or a bare operation id, agent id, resource name, authorization or transfer
    id. Raises NotFound, and Ambiguous with the candidates.
    """
    full_names = [text, *(f"{aggregate_type}/{text}" for aggregate_type in _PREFIXES)]
    values = {"text": text, "ids": [aggregate_id(name) for name in full_names]}
    async with database.connection() as connection:
        cursor = await connection.execute(_candidates(), values)
        found = sorted({row["aggregate"] for row in await cursor.fetchall()})
    if text in found:
        return text
    if not found:
        raise NotFound(f"no aggregate named {text!r} in the ledger")
    if len(found) > 1:
        raise Ambiguous(f"{text} may mean {', '.join(found)}: give the full name")
    return str(found[0])


def _candidates() -> str:
    selects = []
    for aggregate_type in AGGREGATE_TYPES.values():
        table = aggregate_type.table
        bare = _BARE_NAMES.get(aggregate_type.name)
        called = table.c[bare] == bindparam("text") if bare else false()
        full = table.c.aggregate_id == any_(bindparam("ids", type_=ARRAY(Uuid)))
        selects.append(select(table.c.aggregate).where(or_(full, called)))
    return compiled(union_all(*selects))
