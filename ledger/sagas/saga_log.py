"""Writes the saga log: claims an operation id, takes a saga over, begins compensation, closes."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import bindparam, select

from ledger.aggregates.aggregate import Event
from ledger.aggregates.saga import (
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaDuplicateReceived,
    SagaFailed,
    SagaReuseRefused,
    SagaStarted,
    SagaState,
    SagaTakenOver,
    evolve,
    saga_name,
)
from ledger.aggregates.saga_step import STEP, StepState
from ledger.database import Database, compiled
from ledger.errors import Fenced, InputChanged, NotFound, StateRefused
from ledger.store.commit import Author, Decision, Loaded, Ref, commit

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A run in Temporal. The namespace has an id as well: a Temporal that was wiped and made anew
    gives the same name to another one."""

    namespace: str
    namespace_id: str
    task_queue: str
    run_id: str


@dataclass(frozen=True)
class Opening:
    """A request that passed validation, and the run that carries it."""

    saga_id: str
    kind: str
    operation_id: str
    input: Json
    input_hash: str
    run: Run


@dataclass(frozen=True)
class Opened:
    """What became of a request: `new`, `same_run` (asked again by its own run), `duplicate` (it
    has ended; its result stands in `saga`), `other_run` (open in another run), or `reused` (the
    operation id belongs to another request)."""

    how: Literal["new", "same_run", "duplicate", "other_run", "reused"]
    saga: SagaState


async def open_saga(database: Database, author: Author, opening: Opening) -> Opened:
    """Claim the operation id, or find who has it. Every attempt is in the log.

    Raises InputChanged when a saga of another name has it (the run of a schedule makes its own).
    """
    saga_ref = saga_name(opening.saga_id)
    tries = 0

    def decide(loaded: Loaded) -> Decision[Opened]:
        nonlocal tries
        tries += 1
        saga: SagaState | None = loaded[saga_ref]
        if saga is None:
            # Whoever was quicker under our name is found by the second try.
            if tries > 2:
                raise InputChanged(
                    f"the operation id {opening.operation_id} belongs to another {opening.kind}"
                )
            started = started_by(opening, loaded)
            state = SagaState(state="running", epoch=1, **vars(started))
            return Decision(Opened("new", state), [(saga_ref, started)])
        return _meet(saga_ref, saga, opening.input_hash, opening.run.run_id)

    return await commit(database, author, [Ref(saga_ref)], decide)


def started_by(opening: Opening, loaded: Loaded) -> SagaStarted:
    """The first event of a saga."""
    return SagaStarted(
        kind=opening.kind,
        operation_id=opening.operation_id,
        input_hash=opening.input_hash,
        input=opening.input,
        workflow_id=opening.saga_id,
        started_at=loaded.now,
        **vars(opening.run),
    )


def _meet(aggregate: str, saga: SagaState, input_hash: str, repeat: str) -> Decision[Opened]:
    """A request meets a saga that has its operation id."""
    if saga.input_hash != input_hash:
        refused: Event = SagaReuseRefused(repeat=repeat, input_hash=input_hash)
        return Decision(Opened("reused", saga), _once(aggregate, saga, repeat, refused))
    if saga.closed:
        # The run that ended it may ask again, after a workflow task that was lost: no repeat.
        own = saga.run_id == repeat
        repeated = SagaDuplicateReceived(repeat=repeat)
        events = [] if own else _once(aggregate, saga, repeat, repeated)
        return Decision(Opened("duplicate", saga), events)
    same = saga.run_id == repeat and saga.lost is None
    return Decision(Opened("same_run" if same else "other_run", saga))


def _once(aggregate: str, saga: SagaState, repeat: str, event: Event) -> list[tuple[str, Event]]:
    # The activity that records a repeat may itself be repeated.
    return [] if saga.last_repeat == repeat else [(aggregate, event)]


async def record_repeat(
    database: Database, author: Author, saga_id: str, input_hash: str, repeat: str
) -> Opened:
    """A request came to a saga while it runs: record it, as duplicate or as refused reuse."""
    saga_ref = saga_name(saga_id)

    def decide(loaded: Loaded) -> Decision[Opened]:
        saga = _existing(loaded, saga_id)
        if saga.input_hash == input_hash:
            event: Event = SagaDuplicateReceived(repeat=repeat)
            return Decision(Opened("duplicate", saga), _once(saga_ref, saga, repeat, event))
        return _meet(saga_ref, saga, input_hash, repeat)

    return await commit(database, author, [Ref(saga_ref)], decide)


async def take_over(
    database: Database,
    author: Author,
    saga_id: str,
    previous_run_id: str,
    previous_epoch: int,
    run: Run,
) -> SagaState:
    """Carry on an open saga whose previous run is closed, in this run and a new epoch.

    Raises Fenced if another run was quicker.
    """
    saga_ref = saga_name(saga_id)

    def decide(loaded: Loaded) -> Decision[SagaState]:
        saga = _existing(loaded, saga_id)
        if saga.run_id == run.run_id and saga.lost is None:
            return Decision(saga)
        if (saga.run_id, saga.epoch) != (previous_run_id, previous_epoch) or saga.closed:
            raise Fenced(f"{saga_id} is at epoch {saga.epoch}, carried by another run")
        taken = SagaTakenOver(epoch=saga.epoch + 1, previous_run_id=saga.run_id, **vars(run))
        return Decision(evolve(saga, taken), [(saga_ref, taken)])

    return await commit(database, author, [Ref(saga_ref)], decide)


@dataclass(frozen=True)
class TurnedRound:
    """The saga compensates: under this epoch, and these steps are to be undone, in this order.

    `held`: whether any step ever had an undo; `residuals`: what undone steps left behind so far;
    `all_steps`: in the order of their start, also those that are not to be undone.
    """

    epoch: int
    cause: str
    reason: str | None
    steps: list[StepState]
    held: bool
    residuals: list[str]
    all_steps: list[StepState]


async def begin_compensation(
    database: Database,
    author: Author,
    saga_id: str,
    epoch: int,
    run_id: str,
    cause: str,
    reason: str | None,
) -> TurnedRound:
    """Raise the epoch, so that no forward commit lands any more, and say what was started.

    Of a saga that compensates already, the first cause stands. Raises Fenced for an old epoch,
    StateRefused for a saga that has ended.
    """
    saga_ref = saga_name(saga_id)

    def decide(loaded: Loaded) -> Decision[SagaState]:
        saga = _existing(loaded, saga_id)
        if saga.closed:
            raise StateRefused(f"{saga_id} has ended as {saga.state}", "saga_ended")
        # Asked again by the run that turned it round; one that was taken over since is fenced.
        again = saga.epoch == epoch + 1 and saga.run_id == run_id and saga.lost is None
        if saga.state == "compensating" and (saga.epoch == epoch or again):
            return Decision(saga)
        if saga.epoch != epoch:
            raise Fenced(f"{saga_id} is at epoch {saga.epoch}, this attempt is of {epoch}")
        turned = SagaCompensating(epoch=epoch + 1, cause=cause, reason=reason)
        changed = {"epoch": turned.epoch, "cause": cause, "cause_reason": reason}
        return Decision(saga.model_copy(update=changed), [(saga_ref, turned)])

    saga = await commit(database, author, [Ref(saga_ref)], decide)
    # Read after the epoch was raised: from now on no step of an older epoch can be added.
    all_steps = await steps_of(database, saga_id)
    steps = [step for step in reversed(all_steps) if step.undo]
    return TurnedRound(
        epoch=saga.epoch,
        cause=saga.cause or cause,
        reason=saga.cause_reason,
        steps=[step for step in steps if step.state in ("started", "unknown", "done")],
        held=any(step.state not in ("refused", "failed") for step in steps),
        residuals=[step.residual for step in steps if step.residual],
        all_steps=all_steps,
    )


async def steps_of(database: Database, saga_id: str) -> list[StepState]:
    """The steps of a saga in the order in which they were started."""
    table = STEP.table.c
    statement = select(STEP.table).where(table.saga_id == bindparam("saga_id"))
    query = compiled(statement.order_by(table.ordinal))
    async with database.connection() as connection:
        cursor = await connection.execute(query, {"saga_id": saga_id})
        return [StepState.model_validate(STEP.state_of(row)) for row in await cursor.fetchall()]


End = Literal["completed", "compensated", "failed"]
_ENDS: dict[End, type[SagaCompleted] | type[SagaCompensated] | type[SagaFailed]] = {
    "completed": SagaCompleted,
    "compensated": SagaCompensated,
    "failed": SagaFailed,
}


async def close_saga(
    database: Database, author: Author, saga_id: str, epoch: int, end: End, result: Json
) -> Json:
    """End the saga; returns the result that stands, which is the first one."""
    saga_ref = saga_name(saga_id)

    def decide(loaded: Loaded) -> Decision[Json]:
        saga = _existing(loaded, saga_id)
        if saga.closed:
            return Decision(saga.result or {})
        if saga.epoch != epoch:
            raise Fenced(f"{saga_id} is at epoch {saga.epoch}, this attempt is of {epoch}")
        if (saga.state == "running") != (end == "completed"):
            raise StateRefused(f"{saga_id} is {saga.state} and can't end as {end}", "not_allowed")
        event = _ENDS[end](result=result, ended_at=loaded.now)
        return Decision(result, [(saga_ref, event)])

    return await commit(database, author, [Ref(saga_ref)], decide)


def _existing(loaded: Loaded, saga_id: str) -> SagaState:
    saga: SagaState | None = loaded[saga_name(saga_id)]
    if saga is None:
        raise NotFound(f"the ledger knows no saga {saga_id}")
    return saga
