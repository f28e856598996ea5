"""Writes the saga log: claims an operation id, takes a saga over, begins compensation, closes."""

from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
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
from ledger.aggregates.saga_step import STEP, StepState, UndoPlan, step_name
from ledger.aggregates.step_report import StepReport, report_of
from ledger.database import Database
from ledger.errors import Fenced, InputChanged, NotAdmitted, NotFound, StateRefused
from ledger.rendering import compiled
from ledger.sagas.decisions import require_compensation, require_opening
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.signatures import Signed, require_signed
from ledger.store.commit import Author, Decision, Loaded, Ref, commit

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A run in Temporal. The namespace has an id as well: after a reset of Temporal the same name
    belongs to another namespace."""

    namespace: str
    namespace_id: str
    task_queue: str
    run_id: str


class Opening(BaseModel):
    """A request: `actor` wants it, `fingerprint` distinguishes it from another request with the
    same operation id, `context` is what the caller reported (ip, session), `signed` the signature
    of the actor. `run` is known to the activity that opens the saga.

    `problems` (field and reason) are the rules of today that it breaks: then it opens no saga, and
    only repeats a request that was admitted before; its own values are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    saga_id: str
    kind: str
    operation_id: str
    actor: str
    input: Json
    fingerprint: Fingerprint
    problems: list[tuple[str, str]] = Field(default_factory=list)
    context: Json = Field(default_factory=dict)
    signed: Signed | None = None
    run: Run | None = None

    def by(self, run: Run) -> "Opening":
        """The same opening, carried by this run."""
        return self.model_copy(update={"run": run})

    @property
    def run_id(self) -> str:
        """The id of the run that carries the saga."""
        return self.run.run_id if self.run else ""

    @property
    def refs(self) -> list[Ref]:
        """What its signature is checked by."""
        return self.signed.refs() if self.signed else []


How = Literal["new", "same_run", "duplicate", "other_run", "reused"]


class Opened(BaseModel):
    """The answer to a request: `new`, `same_run` (a repeat by the same run), `duplicate` (the saga
    has ended, with `result`), `other_run` (open in another run; `lost` says how the saga was
    orphaned), or `reused` (the operation id belongs to another request). `last_ordinal` is the
    newest step's in a saga that was taken over.

    `input` is the request as it was admitted, for the run that carries the saga or repeats it.
    `old`: today it would not be. `unsigned` says of a saga that was taken over whether its request,
    or a decision on it, was not signed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: How
    state: str
    epoch: int
    namespace: str
    namespace_id: str = ""
    run_id: str
    lost: str | None = None
    result: Json | None
    last_ordinal: int = 0
    input: Json | None = None
    old: bool = False
    unsigned: bool | None = None

    @classmethod
    def of(cls, how: How, saga: SagaState, last_ordinal: int = 0) -> "Opened":
        """The answer to a request for this saga."""
        known = {name: getattr(saga, name) for name in cls.model_fields if hasattr(saga, name)}
        if how in ("other_run", "reused"):
            # Not theirs to go on with.
            known["input"] = None
        return cls(how=how, last_ordinal=last_ordinal, **known)


async def open_saga(database: Database, author: Author, opening: Opening) -> Opened:
    """Claims the operation id, or finds the saga that has it. Every attempt is in the log.

    Raises InputChanged when a saga of another name has it (the run of a schedule makes its own),
    NotAdmitted for a new request that breaks the rules, NotSigned for one that is not signed well.
    """
    saga_ref = saga_name(opening.saga_id)
    tries = 0

    def decide(loaded: Loaded) -> Decision[Opened]:
        nonlocal tries
        tries += 1
        saga: SagaState | None = loaded[saga_ref]
        if saga is None and opening.problems:
            raise NotAdmitted(opening.problems)
        if saga is None:
            # Whoever was quicker under our name is found by the second try.
            if tries > 2:
                raise InputChanged(
                    f"operation id {opening.operation_id!r} belongs to another {opening.kind}: "
                    "use a new operation id"
                )
            require_signed(opening.signed, opening.actor, opening.saga_id, loaded, database.signing)
            require_opening(author.user_id, opening.actor, opening.input, database.signing)
            started = started_by(opening, loaded)
            return Decision(Opened.of("new", evolve(None, started)), [(saga_ref, started)])
        return _meet(saga_ref, saga, opening.fingerprint, opening.run_id)

    return await commit(database, author, [Ref(saga_ref), *opening.refs], decide)


async def answer_repeat(database: Database, author: Author, opening: Opening) -> Opened:
    """Finds the saga that has the operation id, and records the repeat. Raises NotFound."""
    saga_ref = saga_name(opening.saga_id)

    def decide(loaded: Loaded) -> Decision[Opened]:
        saga = _existing(loaded, opening.saga_id)
        return _meet(saga_ref, saga, opening.fingerprint, opening.run_id)

    return await commit(database, author, [Ref(saga_ref)], decide)


def started_by(opening: Opening, loaded: Loaded) -> SagaStarted:
    """The first event of a saga."""
    assert opening.run is not None
    return SagaStarted(
        kind=opening.kind,
        operation_id=opening.operation_id,
        input_hash=opening.fingerprint.given,
        input=opening.input,
        workflow_id=opening.saga_id,
        started_at=loaded.now,
        signed=opening.signed.recorded() if opening.signed else None,
        **vars(opening.run),
    )


def _meet(aggregate: str, saga: SagaState, asked: Fingerprint, repeat: str) -> Decision[Opened]:
    """Answers a request whose operation id belongs to this saga."""
    if not asked.matches(saga):
        refused: Event = SagaReuseRefused(repeat=repeat, input_hash=asked.given)
        return Decision(Opened.of("reused", saga), _once(aggregate, saga, repeat, refused))
    if saga.closed:
        # The run that ended it may ask again, after a workflow task that was lost: no repeat.
        own = saga.run_id == repeat
        repeated = SagaDuplicateReceived(repeat=repeat)
        events = [] if own else _once(aggregate, saga, repeat, repeated)
        return Decision(Opened.of("duplicate", saga), events)
    same = saga.run_id == repeat and saga.lost is None
    return Decision(Opened.of("same_run" if same else "other_run", saga))


def _once(aggregate: str, saga: SagaState, repeat: str, event: Event) -> list[tuple[str, Event]]:
    # The activity that records a repeat may itself be repeated.
    return [] if saga.last_repeat == repeat else [(aggregate, event)]


async def record_repeat(
    database: Database, author: Author, saga_id: str, asked: Fingerprint, repeat: str
) -> Opened:
    """Records a request that came while the saga runs, as a duplicate or as refused reuse."""
    saga_ref = saga_name(saga_id)

    def decide(loaded: Loaded) -> Decision[Opened]:
        saga = _existing(loaded, saga_id)
        if asked.matches(saga):
            event: Event = SagaDuplicateReceived(repeat=repeat)
            opened = Opened.of("duplicate", saga).model_copy(update={"input": None})
            return Decision(opened, _once(saga_ref, saga, repeat, event))
        return _meet(saga_ref, saga, asked, repeat)

    return await commit(database, author, [Ref(saga_ref)], decide)


async def take_over(
    database: Database,
    author: Author,
    saga_id: str,
    previous_run_id: str,
    previous_epoch: int,
    run: Run,
) -> Opened:
    """Takes over an open saga whose previous run is closed, in this run and a new epoch.

    Raises Fenced if another run was quicker.
    """
    saga_ref = saga_name(saga_id)

    def decide(loaded: Loaded) -> Decision[SagaState]:
        saga = _existing(loaded, saga_id)
        if saga.run_id == run.run_id and saga.lost is None:
            return Decision(saga)
        if (saga.run_id, saga.epoch) != (previous_run_id, previous_epoch) or saga.closed:
            raise Fenced(
                f"{saga_id} is at epoch {saga.epoch}: another run took it over or ended it"
            )
        taken = SagaTakenOver(epoch=saga.epoch + 1, previous_run_id=saga.run_id, **vars(run))
        return Decision(evolve(saga, taken), [(saga_ref, taken)])

    saga = await commit(database, author, [Ref(saga_ref)], decide)
    # Read after the epoch was raised. Steps of this run come after those of the other one, so that
    # the order of the undo stays the order of the starts.
    steps = await steps_of(database, saga_id)
    return Opened.of("same_run", saga, max((step.ordinal for step in steps), default=0))


class StepToUndo(BaseModel):
    """A step that may have had an effect, and its undo plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    ordinal: int
    undo: UndoPlan


class Compensation(BaseModel):
    """The compensation of a saga: its epoch, and the steps to undo, in this order.

    `held`: whether any step ever had an undo; `residuals`: what undone steps left behind so far;
    `reports`: how all steps stand, in the order of their start. Of a saga that has ended: its
    `state` and its `result`, and no step. `running`: nothing was begun, since the pivot may be done
    and can't be undone; its outcome decides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str = "compensating"
    result: Json | None = None
    epoch: int
    cause: str
    reason: str | None
    steps: list[StepToUndo] = Field(default_factory=list)
    held: bool = False
    residuals: list[str] = Field(default_factory=list)
    reports: list[StepReport] = Field(default_factory=list)


async def begin_compensation(  # noqa: PLR0913, PLR0917 - each is a word of the event
    database: Database,
    author: Author,
    saga_id: str,
    epoch: int,
    run_id: str,
    cause: str,
    reason: str | None,
    pivot: str | None = None,
    decision: Signed | None = None,
) -> Compensation:
    """Raises the epoch, so that no forward commit lands any more, and returns the steps to undo.

    Of a saga that compensates already, the first cause stands; of one that has ended, or whose step
    `pivot` is or may be done and can't be undone, nothing is written. `decision` is what the author
    signed. Raises Fenced for an old epoch, NotSigned.
    """
    saga_ref = saga_name(saga_id)
    pivot_ref = step_name(saga_id, pivot) if pivot else None

    def decide(loaded: Loaded) -> Decision[SagaState]:
        saga = _existing(loaded, saga_id)
        if saga.closed:
            return Decision(saga)
        # Asked again by the run that began it; one that was taken over since is fenced.
        again = saga.epoch == epoch + 1 and saga.run_id == run_id and saga.lost is None
        if saga.state == "compensating" and (saga.epoch == epoch or again):
            return Decision(saga)
        if saga.epoch != epoch:
            raise Fenced(f"{saga_id} is at epoch {saga.epoch}, this attempt is of epoch {epoch}")
        asked = decision, author.user_id, cause, saga_id
        require_compensation(*asked, loaded, database.signing)
        step: StepState | None = loaded[pivot_ref] if pivot_ref else None
        if step is not None and step.holds_forward:
            return Decision(saga)
        begun = SagaCompensating(epoch=epoch + 1, cause=cause, reason=reason)
        return Decision(evolve(saga, begun), [(saga_ref, begun)])

    # No step begins meanwhile: each takes the saga's row for share.
    refs = [Ref(saga_ref), *([Ref(pivot_ref, "share")] if pivot_ref else [])]
    refs += decision.refs() if decision else []
    saga = await commit(database, author, refs, decide)
    if saga.state != "compensating":
        return Compensation(
            state=saga.state, result=saga.result, epoch=saga.epoch, cause=cause, reason=reason
        )
    # Read after the epoch was raised: from now on no step of an older epoch can be added.
    steps = await steps_of(database, saga_id)
    undoable = [step for step in reversed(steps) if step.undo]
    return Compensation(
        epoch=saga.epoch,
        cause=saga.cause or cause,
        reason=saga.cause_reason,
        steps=[
            StepToUndo(name=step.name, ordinal=step.ordinal, undo=step.undo)
            for step in undoable
            if step.undo and step.state in ("started", "unknown", "done")
        ],
        held=any(step.state not in ("refused", "failed") for step in undoable),
        residuals=[step.residual for step in undoable if step.residual],
        reports=[StepReport(**report_of(step.fields())) for step in steps],
    )


async def steps_of(database: Database, saga_id: str) -> list[StepState]:
    """The steps of a saga in the order in which they were started."""
    table = STEP.table.c
    statement = select(STEP.table).where(table.saga_id == bindparam("saga_id"))
    query = compiled(statement.order_by(table.ordinal))
    async with database.connection() as connection:
        cursor = await connection.execute(query, {"saga_id": saga_id})
        return [cast(StepState, STEP.state_of(row)) for row in await cursor.fetchall()]


End = Literal["completed", "compensated", "failed"]
_ENDS: dict[End, type[SagaCompleted] | type[SagaCompensated] | type[SagaFailed]] = {
    "completed": SagaCompleted,
    "compensated": SagaCompensated,
    "failed": SagaFailed,
}


async def close_saga(
    database: Database, author: Author, saga_id: str, epoch: int, end: End, result: Json
) -> Json:
    """Ends the saga and returns its stored result, which is the first one."""
    saga_ref = saga_name(saga_id)

    def decide(loaded: Loaded) -> Decision[Json]:
        saga = _existing(loaded, saga_id)
        if saga.closed:
            return Decision(saga.result or {})
        if saga.epoch != epoch:
            raise Fenced(f"{saga_id} is at epoch {saga.epoch}, this attempt is of epoch {epoch}")
        if (saga.state == "running") != (end == "completed"):
            raise StateRefused(f"{saga_id} is {saga.state} and can't end as {end}", "not_allowed")
        event = _ENDS[end](result=result, ended_at=loaded.now)
        return Decision(result, [(saga_ref, event)])

    return await commit(database, author, [Ref(saga_ref)], decide)


def _existing(loaded: Loaded, saga_id: str) -> SagaState:
    saga: SagaState | None = loaded[saga_name(saga_id)]
    if saga is None:
        raise NotFound(f"no saga named {saga_id!r} in the ledger")
    return saga
