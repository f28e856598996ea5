"""Records how the runs of open sagas stand in Temporal, and the sagas that are orphaned."""

from functools import reduce

from ledger.aggregates.aggregate import Event
from ledger.aggregates.saga import SagaCompensating, SagaLost, SagaState, evolve, saga_name
from ledger.aggregates.saga_step import StepState, step_name
from ledger.database import Database
from ledger.errors import NotFound
from ledger.sagas.open_sagas import OpenSaga
from ledger.store.commit import Author, Decision, Loaded, Ref, commit

# Why a saga is undone whose run Temporal has lost.
LOST_RUN = "lost_run"


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
    unless the step `pivot` is done, or may be and can't be undone: then the run that takes the saga
    over goes forward.

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
        is_pivoted = step is not None and (step.state == "done" or step.holds_forward)
        if saga.state == "running" and not is_pivoted:
            why = f"its run was lost: {found}"
            events.append(SagaCompensating(epoch=epoch + 2, cause=LOST_RUN, reason=why))
        return Decision(reduce(evolve, events, saga), [(saga_ref, event) for event in events])

    # Nobody commits a step while the saga's row is locked: its steps take that row for share.
    refs = [Ref(saga_ref), *([Ref(pivot_ref, "share")] if pivot_ref else [])]
    return await commit(database, author, refs, decide)
