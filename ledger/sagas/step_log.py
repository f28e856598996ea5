"""Carries out a step exactly once: claimed with its undo plan, stored with its result.

A step that only touches our database is one commit (`commit_step`), which may also open the saga
and close it. An external call goes between `start_step` and `finish_step`. The undo is
`undo_step`. All of them hold the saga's row and check its epoch: once compensation began, no
forward commit lands.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from ledger.aggregates.aggregate import Event
from ledger.aggregates.saga import (
    SagaCommitRefused,
    SagaCompleted,
    SagaState,
    SagaWaitEnded,
    saga_name,
)
from ledger.aggregates.saga_step import (
    ENDED,
    StepCommitted,
    StepDone,
    StepFailed,
    StepRefused,
    StepResolved,
    StepRetryRequested,
    StepSkipped,
    StepStarted,
    StepState,
    StepUndone,
    comes_late,
    evolve,
)
from ledger.aggregates.step_report import UndoReport
from ledger.database import Database
from ledger.errors import Fenced, InputChanged, NotFound, StateRefused
from ledger.sagas.decisions import require_forward, require_opening, require_retry, require_verdict
from ledger.sagas.saga_log import Opening, started_by
from ledger.sagas.signatures import require_signed
from ledger.sagas.step_claim import SAGA_KNOWN as SAGA_KNOWN
from ledger.sagas.step_claim import Phase as Phase
from ledger.sagas.step_claim import Started as Started
from ledger.sagas.step_claim import StepClaim as StepClaim
from ledger.sagas.together import PART, Work
from ledger.signing import Signing
from ledger.store.commit import Author, Decide, Decision, Loaded, Ref, commit

Json = dict[str, Any]
T = TypeVar("T")
StepOutcome = StepDone | StepRefused | StepFailed


async def commit_step(
    database: Database,
    author: Author,
    claim: StepClaim,
    refs: Sequence[Ref],
    decide: Decide[Json],
    *,
    windows_of: Sequence[str] = (),
) -> Json:
    """Carries out a step that writes only to our database; a repeat gets the stored result.

    `decide` gives the step's result and its domain events. Beside others in a `Together`, all are
    one commit. Raises Fenced (recorded), InputChanged, StateRefused `saga_known` (a saga that it
    should open is there), NotSigned, and what `decide` raises.
    """
    signing = database.signing
    needed = [*claim.refs("running", new=True, begins=signing.required), *refs]
    work = Work(author, needed, _committing(author, claim, decide, signing), windows_of)
    if (part := PART.get()) is not None:
        return await part.join(work)
    done = commit(database, author, needed, work.decide, windows_of=windows_of)
    return await _recording(database, author, claim, done)


def _committing(
    author: Author, claim: StepClaim, decide: Decide[Json], signing: Signing
) -> Decide[Json]:
    saga_ref, tries = saga_name(claim.saga_id), 0

    def claimed(loaded: Loaded) -> Decision[Json]:
        nonlocal tries
        tries += 1
        events: list[tuple[str, Event]] = []
        if (opening := claim.opening) is not None and _is_new(loaded, claim, opening, tries):
            if not claim.denies_unsigned:
                require_signed(opening.signed, opening.actor, claim.saga_id, loaded, signing)
            require_opening(author.user_id, opening.actor, opening.input, signing)
            events.append((saga_ref, started_by(opening, loaded)))
        elif (step := _forward(loaded, claim)) is not None:
            return Decision(step.result or {})
        else:
            _require_forward(author, claim, loaded, signing)
        decision = decide(loaded)
        done = StepCommitted(result=decision.result, **claim.columns())
        events += [*_wait_ended(loaded, claim), *decision.events, (claim.aggregate, done)]
        if claim.ending is not None:
            events.append((saga_ref, SagaCompleted(result=claim.ending, ended_at=loaded.now)))
        return Decision(decision.result, events, decision.limits)

    return claimed


async def start_step(
    database: Database,
    author: Author,
    claim: StepClaim,
    refs: Sequence[Ref],
    decide: Decide[Json | None],
    *,
    within: timedelta,
    windows_of: Sequence[str] = (),
) -> Started:
    """Records the step as started, with undo plan and deadline, before the external call.

    `decide` gives the facts to store and the domain events. A repeat gets the step as it stands,
    with `again`: then the caller looks at the external system before it calls it.
    """

    def claimed(loaded: Loaded) -> Decision[Started]:
        step = _forward(loaded, claim)
        if step is not None:
            return Decision(Started(step, again=True))
        _require_forward(author, claim, loaded, database.signing)
        decision = decide(loaded)
        started = StepStarted(
            deadline=loaded.now + within, facts=decision.result, **claim.columns()
        )
        events = [
            *_wait_ended(loaded, claim),
            *decision.events,
            (claim.aggregate, started),
        ]
        return Decision(Started(evolve(None, started), again=False), events, decision.limits)

    needed = [*claim.refs("running", begins=database.signing.required), *refs]
    work = commit(database, author, needed, claimed, windows_of=windows_of)
    return await _recording(database, author, claim, work)


async def finish_step(
    database: Database,
    author: Author,
    claim: StepClaim,
    refs: Sequence[Ref],
    decide: Callable[[Loaded], Decision[StepOutcome]],
) -> StepState:
    """Records the outcome of the external call. A step that has one keeps it."""

    def claimed(loaded: Loaded) -> Decision[StepState]:
        step = _forward(loaded, claim)
        if step is None:
            raise NotFound(f"no step named {claim.aggregate!r} was started")
        if not step.undecided:
            return Decision(step)
        require_verdict(author.user_id, claim, None, loaded, database.signing)
        decision = decide(loaded)
        outcome = _told(decision.result, claim)
        events: list[tuple[str, Event]] = [*decision.events, (claim.aggregate, outcome)]
        return Decision(evolve(step, outcome), events, decision.limits)

    work = commit(database, author, [*claim.refs("running"), *refs], claimed)
    return await _recording(database, author, claim, work)


async def undo_step(
    database: Database,
    author: Author,
    claim: StepClaim,
    refs: Sequence[Ref],
    decide: Decide[StepUndone],
) -> UndoReport:
    """Records that a step is undone; `decide` gives the note and the domain events.

    Raises Fenced unless the saga compensates under the claim's epoch.
    """

    def claimed(loaded: Loaded) -> Decision[UndoReport]:
        step = _compensating(loaded, claim)
        if step.state in ENDED:
            return Decision(_undone(step))
        require_verdict(author.user_id, claim, step.undo, loaded, database.signing)
        decision = decide(loaded)
        told = _told(decision.result, claim)
        return Decision(_undone(evolve(step, told)), [*decision.events, (claim.aggregate, told)])

    work = commit(database, author, [*claim.refs("compensating"), *refs], claimed)
    return await _recording(database, author, claim, work)


def _told(outcome: StepOutcome | StepUndone, claim: StepClaim) -> Event:
    """The outcome as an event: at which try it came, or the evidence of an operator."""
    if claim.evidence is None:
        return outcome.changed(tries=claim.tries)
    if claim.skipped:
        return StepSkipped(residual=claim.evidence, tries=claim.tries)
    match outcome:
        case StepDone():
            return StepResolved(outcome="done", evidence=claim.evidence, result=outcome.result)
        case StepUndone():
            left = outcome.residual
            return StepResolved(outcome="undone", evidence=claim.evidence, residual=left)
        case _:
            return StepResolved(outcome="failed", evidence=claim.evidence)


def _undone(step: StepState) -> UndoReport:
    return UndoReport(note=step.reason or "", residual=step.residual, tries=step.undo_tries)


async def note_step(
    database: Database, author: Author, claim: StepClaim, phase: Phase, event: Event
) -> StepState:
    """Records an event of a step before its outcome. Nothing is written for a step that has its
    outcome, or for an event that was recorded before.

    Raises Fenced unless the saga is in this phase and in the epoch of the claim.
    """

    def claimed(loaded: Loaded) -> Decision[StepState]:
        step = _known(loaded, claim)
        if _has_ended(loaded, claim):
            return Decision(step)
        _fence(loaded, claim, phase)
        if isinstance(event, StepRetryRequested):
            require_retry(author.user_id, claim, loaded, database.signing)
        if step.state in ENDED if phase == "compensating" else not step.undecided:
            return Decision(step)
        changed = evolve(step, event)
        if changed == step or comes_late(step, event):
            return Decision(step)
        return Decision(changed, [(claim.aggregate, event)])

    return await commit(database, author, claim.refs(phase), claimed)


def _compensating(loaded: Loaded, claim: StepClaim) -> StepState:
    step: StepState | None = loaded[claim.aggregate]
    if step is None or step.state not in ENDED or not _has_ended(loaded, claim):
        _fence(loaded, claim, "compensating")
    return _known(loaded, claim)


def _known(loaded: Loaded, claim: StepClaim) -> StepState:
    step: StepState | None = loaded[claim.aggregate]
    if step is None:
        raise NotFound(f"no step named {claim.aggregate!r} was started")
    return step


def _is_new(loaded: Loaded, claim: StepClaim, opening: Opening, tries: int) -> bool:
    """Whether the saga is still to be opened; not so when this run has just opened it."""
    saga: SagaState | None = loaded[saga_name(claim.saga_id)]
    # Of one that is absent again and again, another saga has the operation id.
    if saga is None and tries <= 2:
        return True
    if saga is None or saga.run_id != opening.run_id:
        raise StateRefused(f"saga {claim.saga_id} was opened before", SAGA_KNOWN)
    if saga.epoch != claim.epoch:
        raise Fenced(
            f"{claim.saga_id} is at epoch {saga.epoch}, this attempt is of epoch {claim.epoch}"
        )
    if saga.input != opening.input:
        # A try before this one read the request by other defaults, and that is what was admitted.
        raise StateRefused(f"saga {claim.saga_id} was opened before", SAGA_KNOWN)
    return False


def _wait_ended(loaded: Loaded, claim: StepClaim) -> list[tuple[str, Event]]:
    """The end of the wait that the claim carries out. One that an older version began is not on
    record."""
    if not claim.ends_wait:
        return []
    saga: SagaState | None = loaded[saga_name(claim.saga_id)]
    if saga is None or saga.waits_for is None:
        return []
    return [(saga_name(claim.saga_id), SagaWaitEnded(waits_for=saga.waits_for))]


def _forward(loaded: Loaded, claim: StepClaim) -> StepState | None:
    step: StepState | None = loaded[claim.aggregate]
    if step is None or not _has_ended(loaded, claim):
        _fence(loaded, claim, "running")
    if step is not None and step.input_hash != claim.input_hash:
        raise InputChanged(
            f"{claim.aggregate} was claimed with another input: use a new operation id"
        )
    return step


def _require_forward(author: Author, claim: StepClaim, loaded: Loaded, signing: Signing) -> None:
    if signing.required:
        require_forward(author.user_id, claim, loaded[saga_name(claim.saga_id)], loaded, signing)


def _has_ended(loaded: Loaded, claim: StepClaim) -> bool:
    """Whether the saga has ended in the claim's epoch. Its own run may ask again, after a lost
    workflow task, and finds each step as recorded."""
    if loaded.holds(saga_name(claim.saga_id)):
        return False
    saga: SagaState | None = loaded[saga_name(claim.saga_id)]
    if saga is None or not saga.closed or saga.epoch != claim.epoch:
        return False
    return claim.ending in (None, saga.result)


def _fence(loaded: Loaded, claim: StepClaim, phase: Phase) -> None:
    if loaded.holds(saga_name(claim.saga_id)):
        return
    saga: SagaState | None = loaded[saga_name(claim.saga_id)]
    if saga is None:
        raise NotFound(f"no saga named {claim.saga_id!r} in the ledger")
    if saga.epoch != claim.epoch or saga.state != phase:
        raise Fenced(
            f"{claim.aggregate} is of epoch {claim.epoch} ({phase}), "
            f"the saga is at epoch {saga.epoch} ({saga.state})"
        )


async def _recording(database: Database, author: Author, claim: StepClaim, work: Awaitable[T]) -> T:
    """Awaits a commit; a refusal by the fence is itself an event, on the saga."""
    try:
        return await work
    except Fenced:
        saga_ref = saga_name(claim.saga_id)

        def refused(loaded: Loaded) -> Decision[None]:
            saga: SagaState = loaded[saga_ref]
            event = SagaCommitRefused(step=claim.step, epoch=claim.epoch, current_epoch=saga.epoch)
            return Decision(None, [(saga_ref, event)])

        await commit(database, author, [Ref(saga_ref)], refused)
        raise
