"""Lists what waits for somebody, from the ledger: readable while Temporal is away."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ledger.aggregates.names import aggregate_id
from ledger.aggregates.saga import SAGA, SagaState, saga_name
from ledger.aggregates.saga_step import STEP, StepState
from ledger.database import Connection, Database
from ledger.read.cursors import reading

# The words of the search attribute `SagaState`, and `orphaned`: no run carries the saga.
WaitState = Literal["running", "resolving", "needs_attention", "compensating", "orphaned"]


class Waiting(BaseModel):
    """One thing that waits: a saga for a decision or for its recovery, or one of its steps.

    `state`: `running` (until the decision `saga.waits_for`), `orphaned` (on record as lost, until a
    run takes it over), or of a step: `resolving` (in doubt, looked up), `needs_attention` (an
    operator has to say), `compensating` (its undo had no success so far).
    """

    model_config = ConfigDict(frozen=True)

    saga: SagaState
    step: StepState | None = None
    state: WaitState
    since: datetime

    @property
    def undoing(self) -> bool:
        """Whether the undo of the step is what waits."""
        return self.step is not None and self.saga.state == "compensating"


# Word for word the conditions of the partial indexes.
_SAGAS = f"""
    {SAGA.selection} WHERE waits_for IS NOT NULL OR lost IS NOT NULL
    ORDER BY started_at LIMIT %(limit)s"""
_STUCK = """(attention IS NOT NULL OR delayed IS NOT NULL OR state = 'unknown')"""
_STEPS = f"{STEP.selection} WHERE {_STUCK} ORDER BY head_at LIMIT %(limit)s"
_AMONG = f"{STEP.selection} WHERE saga_id = ANY(%(names)s) AND {_STUCK} ORDER BY ordinal"
_BY_ID = f"{SAGA.selection} WHERE aggregate_id = ANY(%(ids)s)"


async def waiting(database: Database, *, limit: int) -> list[Waiting]:
    """What waits, the longest wait first: of sagas and of steps the first `limit` each, as of one
    moment. Raises DatabaseUnavailable."""
    async with reading(database) as connection:
        sagas = await _sagas(connection, _SAGAS, limit=limit)
        cursor = await connection.execute(_STEPS.encode(), {"limit": limit})
        rows = await cursor.fetchall()
        ids = [aggregate_id(saga_name(row["saga_id"])) for row in rows]
        of_steps = await _sagas(connection, _BY_ID, ids=ids)
    by_id = {saga.workflow_id: (saga, head_at) for saga, head_at in of_steps}
    found = [wait for saga, head_at in sagas for wait in waits_of(saga, head_at, [])]
    for row in rows:
        step = StepState.model_validate(STEP.state_of(row))
        saga, head_at = by_id[row["saga_id"]]
        found += [wait for wait in waits_of(saga, head_at, [(step, row["head_at"])]) if wait.step]
    return sorted(found, key=lambda wait: (wait.since, wait.saga.workflow_id))


async def waits_among(database: Database, sagas: Sequence[SagaState]) -> dict[str, list[Waiting]]:
    """What waits in these sagas, by their workflow ids. Raises DatabaseUnavailable."""
    names = [saga.workflow_id for saga in sagas if not saga.closed]
    ids = [aggregate_id(saga_name(name)) for name in names]
    async with reading(database) as connection:
        found = await _sagas(connection, _BY_ID, ids=ids)
        cursor = await connection.execute(_AMONG.encode(), {"names": names})
        rows = await cursor.fetchall()
    steps: dict[str, list[tuple[StepState, datetime]]] = {}
    for row in rows:
        step = StepState.model_validate(STEP.state_of(row))
        steps.setdefault(step.saga_id, []).append((step, row["head_at"]))
    return {
        saga.workflow_id: waits_of(saga, head_at, steps.get(saga.workflow_id, []))
        for saga, head_at in found
    }


def waits_of(
    saga: SagaState, head_at: datetime, steps: list[tuple[StepState, datetime]]
) -> list[Waiting]:
    """What waits in one saga, by its row and those of its steps, each with the time of its last
    event."""
    if saga.closed:
        return []
    if saga.lost is not None:
        return [Waiting(saga=saga, state="orphaned", since=head_at)]
    found = []
    if saga.waits_for is not None:
        since = saga.waits_since or head_at
        found.append(Waiting(saga=saga, state="running", since=since))
    for step, since in steps:
        if state := _state_of(saga, step):
            found.append(Waiting(saga=saga, step=step, state=state, since=since))
    return found


def _state_of(saga: SagaState, step: StepState) -> WaitState | None:
    if step.attention is not None:
        return "needs_attention"
    if step.state == "unknown" and saga.state == "running":
        return "resolving"
    return "compensating" if step.delayed is not None else None


async def _sagas(
    connection: Connection, query: str, **values: object
) -> list[tuple[SagaState, datetime]]:
    cursor = await connection.execute(query.encode(), values)
    return [
        (SagaState.model_validate(SAGA.state_of(row)), row["head_at"])
        for row in await cursor.fetchall()
    ]
