"""Lists the steps that wait for an operator, from the ledger: readable while Temporal is away."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ARRAY, Uuid, any_, bindparam, select

from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.saga import SAGA, SagaState, saga_name
from ledger.aggregates.saga_step import STEP, StepState
from ledger.database import Database
from ledger.read.cursors import reading
from ledger.rendering import compiled


class Waits(BaseModel):
    """A step that waits for an operator, its saga, and since when."""

    model_config = ConfigDict(frozen=True)

    saga: SagaState
    step: StepState
    since: datetime

    @property
    def undoing(self) -> bool:
        """Whether the undo of the step is what waits."""
        return self.saga.state == "compensating"


async def waiting_steps(database: Database, *, limit: int) -> list[Waits]:
    """The first `limit` steps that wait for an operator, the longest wait first."""
    async with reading(database) as connection:
        asked = select(STEP.table).where(STEP.table.c.attention.is_not(None))
        first = asked.order_by(STEP.table.c.head_at).limit(bindparam("limit"))
        steps = await (await connection.execute(compiled(first), {"limit": limit})).fetchall()
        ids = [aggregate_id(saga_name(row["saga_id"])) for row in steps]
        of_them = SAGA.table.c.aggregate_id == any_(bindparam("ids", type_=ARRAY(Uuid)))
        found = select(SAGA.table).where(of_them)
        sagas = await (await connection.execute(compiled(found), {"ids": ids})).fetchall()
    by_id = {row["workflow_id"]: SagaState.model_validate(SAGA.state_of(row)) for row in sagas}
    return [
        Waits(
            saga=by_id[row["saga_id"]],
            step=StepState.model_validate(STEP.state_of(row)),
            since=row["head_at"],
        )
        for row in steps
        if not by_id[row["saga_id"]].closed
    ]
