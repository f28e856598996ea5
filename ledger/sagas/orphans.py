"""Lists open sagas, and records the ones that are orphaned: open in the ledger, closed in
Temporal."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    ARRAY,
    BindParameter,
    DateTime,
    Integer,
    Uuid,
    any_,
    bindparam,
    func,
    select,
    tuple_,
)

from ledger.aggregates.aggregate import Event, aggregate_id
from ledger.aggregates.saga import SAGA, SagaCompensating, SagaLost, SagaState, evolve, saga_name
from ledger.aggregates.saga_step import StepState, step_name
from ledger.database import Database
from ledger.errors import NotFound
from ledger.rendering import compiled
from ledger.store.commit import Author, Decision, Loaded, Ref, commit

# Why a saga is undone whose run Temporal has lost.
LOST_RUN = "lost_run"

# Small enough to be asked of Temporal in a second or two.
PAGE = 500


class OpenSaga(BaseModel):
    """A saga that has not ended, and the run that carries it; `run_closed` or `run_paused` is the
    status of a run that is on record as not going on. Its row has been unchanged since `head_at`,
    by the clock that says `now`."""

    model_config = ConfigDict(frozen=True)

    aggregate_id: Any
    workflow_id: str
    kind: str
    epoch: int
    namespace: str
    namespace_id: str
    run_id: str
    run_closed: str | None
    run_paused: str | None
    started_at: datetime
    head_at: datetime
    now: datetime


_SAGA = SAGA.table.c
_COLUMNS = [_SAGA[name] for name in OpenSaga.model_fields if name != "now"]
_OPEN = select(*_COLUMNS, func.clock_timestamp().label("now")).where(_SAGA.ended_at.is_(None))
_ORDER = (_SAGA.started_at, _SAGA.aggregate_id)
_LIMIT: BindParameter[int] = bindparam("at_most", type_=Integer)
_FIRST = compiled(_OPEN.order_by(*_ORDER).limit(_LIMIT))
_AFTER = tuple_(
    bindparam("started_at", type_=DateTime(timezone=True)), bindparam("aggregate_id", type_=Uuid)
)
_NEXT = compiled(_OPEN.where(tuple_(*_ORDER) > _AFTER).order_by(*_ORDER).limit(_LIMIT))
_IDS = _SAGA.aggregate_id == any_(bindparam("ids", type_=ARRAY(Uuid)))
_AMONG = compiled(_OPEN.where(_IDS))
_STOPPED = compiled(
    _OPEN.where(_SAGA.run_closed.is_not(None) | _SAGA.run_paused.is_not(None)).limit(_LIMIT)
)


async def open_sagas(database: Database, at_most: int = PAGE) -> AsyncIterator[list[OpenSaga]]:
    """All open sagas, the oldest first, in pages of `at_most`."""
    page = await _read(database, _FIRST, {"at_most": at_most})
    while page:
        yield page
        last = page[-1]
        after = {"started_at": last.started_at, "aggregate_id": last.aggregate_id}
        after["at_most"] = at_most
        page = await _read(database, _NEXT, after)


async def still_open(database: Database, sagas: Sequence[OpenSaga]) -> list[OpenSaga]:
    """The given sagas that are open now, in the same epoch."""
    epochs = {saga.aggregate_id: saga.epoch for saga in sagas}
    found = await _read(database, _AMONG, {"ids": list(epochs)})
    return [saga for saga in found if epochs[saga.aggregate_id] == saga.epoch]


async def find_open(database: Database, saga_id: str) -> OpenSaga | None:
    """The saga of this id, if it is open."""
    found = await _read(database, _AMONG, {"ids": [aggregate_id(saga_name(saga_id))]})
    return found[0] if found else None


async def sagas_of_runs(database: Database, saga_ids: Sequence[str]) -> list[OpenSaga]:
    """The sagas of these ids that are open, and the first whose run is on record as not going
    on."""
    ids = [aggregate_id(saga_name(saga_id)) for saga_id in saga_ids]
    among = await _read(database, _AMONG, {"ids": ids}) if ids else []
    stopped = await _read(database, _STOPPED, {"at_most": PAGE})
    return list({saga.workflow_id: saga for saga in [*among, *stopped]}.values())


async def record_run(database: Database, author: Author, saga: OpenSaga, event: Event) -> None:
    """Records how the run of a saga stands. Of a saga that has changed since it was read, or that
    is lost, nothing is written."""
    ref = saga_name(saga.workflow_id)

    def decide(loaded: Loaded) -> Decision[None]:
        stands: SagaState | None = loaded[ref]
        if stands is None or stands.closed or stands.lost is not None:
            return Decision(None)
        known = (saga.run_id, saga.epoch, saga.run_closed, saga.run_paused)
        if (stands.run_id, stands.epoch, stands.run_closed, stands.run_paused) != known:
            return Decision(None)
        return Decision(None, [(ref, event)])

    await commit(database, author, [Ref(ref)], decide)


async def _read(database: Database, query: str, values: dict[str, Any]) -> list[OpenSaga]:
    async with database.connection() as connection:
        cursor = await connection.execute(query, values)
        return [OpenSaga.model_validate(row) for row in await cursor.fetchall()]


async def declare_lost(
    database: Database,
    author: Author,
    saga_id: str,
    epoch: int,
    found: str,
    reason: str | None,
    pivot: str | None,
) -> SagaState:
    """Records that a saga is orphaned in this epoch, and begins compensation in the same commit,
    unless the step `pivot` is done: then the run that takes the saga over goes forward.

    From here the lost run is fenced, should it live after all. Returns the saga as it stands: of
    one that has ended, or that another epoch carries by now, nothing is written.
    """
    saga_ref = saga_name(saga_id)
    pivot_ref = step_name(saga_id, pivot) if pivot else None

    def decide(loaded: Loaded) -> Decision[SagaState]:
        saga: SagaState | None = loaded[saga_ref]
        if saga is None:
            raise NotFound(f"no saga named {saga_id!r} in the ledger")
        if saga.closed or saga.lost is not None or saga.epoch != epoch:
            return Decision(saga)
        events: list[Event] = [
            SagaLost(run_id=saga.run_id, epoch=epoch + 1, found=found, reason=reason)
        ]
        step: StepState | None = loaded[pivot_ref] if pivot_ref else None
        if saga.state == "running" and (step is None or step.state != "done"):
            why = f"its run was lost: {found}"
            events.append(SagaCompensating(epoch=epoch + 2, cause=LOST_RUN, reason=why))
        return Decision(reduce(evolve, events, saga), [(saga_ref, event) for event in events])

    # Nobody commits a step while the saga's row is locked: its steps take that row for share.
    refs = [Ref(saga_ref), *([Ref(pivot_ref, "share")] if pivot_ref else [])]
    return await commit(database, author, refs, decide)
