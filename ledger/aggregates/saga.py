"""The aggregate type `saga`: the request, the run that carries it out, and the end."""

from datetime import datetime
from typing import Any, ClassVar, Literal

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, Upcaster
from ledger.aggregates.columns import Column, state_columns
from ledger.aggregates.names import saga_name as saga_name

Json = dict[str, Any]
Phase = Literal["running", "compensating", "completed", "compensated", "failed"]
CLOSED = frozenset({"completed", "compensated", "failed"})


class SagaStarted(Event):
    """A saga started: its request passed validation and claimed the operation id, for ever.

    `signed` has the signature of the actor: `key` its id, `value`, and `says`, the request as it
    was received; None for a request that nobody signed.
    """

    upcasters: ClassVar[tuple[Upcaster, ...]] = (lambda old: {**old, "signed": None},)

    kind: str
    operation_id: str
    input_hash: str
    input: Json
    namespace: str
    namespace_id: str
    task_queue: str
    workflow_id: str
    run_id: str
    started_at: datetime
    signed: Json | None = None


class SagaTakenOver(Event):
    """Another run took the saga over, since its previous run is closed."""

    namespace: str
    namespace_id: str
    task_queue: str
    run_id: str
    epoch: int
    previous_run_id: str


class SagaLost(Event):
    """The saga was orphaned: Temporal has no open run of it, until a run takes it over.

    `found` is how that run stood (terminated, timed_out, not_found, ..., or gone: a person says so
    of a Temporal that can't be asked), `reason` the sentence of that person.
    """

    run_id: str
    epoch: int
    found: str
    reason: str | None = None


class SagaRunClosed(Event):
    """The run of the saga closed before the saga's end: `found` is its status in Temporal
    (terminated, timed_out, failed, cancelled, ...), `since` when it closed, or where Temporal has
    deleted it, when that was seen. Nothing is undone by that: see `SagaLost`."""

    run_id: str
    found: str
    since: datetime


class SagaRunPaused(Event):
    """The run of the saga is open and does not run: `found` is its status in Temporal (paused),
    `since` when that was seen."""

    run_id: str
    found: str
    since: datetime


class SagaRunResumed(Event):
    """The run of the saga goes on: it was unpaused, or reset to before its end."""

    run_id: str


class SagaDuplicateReceived(Event):
    """The same request came again and got the first answer. `repeat` is the run or update."""

    repeat: str


class SagaReuseRefused(Event):
    """Another request with the same operation id was refused."""

    repeat: str
    input_hash: str


class SagaCompensating(Event):
    """Compensation began: no forward commit of an older epoch is accepted any more."""

    epoch: int
    cause: str
    reason: str | None = None


class SagaWaitStarted(Event):
    """The saga began to wait for a decision: written by the commit that makes it wait.

    `waits_for` names the decision (`approval`, `capture`), `waits_on` who may give it: an actor, or
    `user` for any person. `until` is the deadline, if there is one.
    """

    waits_for: str
    waits_on: str
    since: datetime
    until: datetime | None = None


class SagaWaitEnded(Event):
    """The saga ended its wait: written by the commit that carries the decision out."""

    waits_for: str


class SagaDecisionSigned(Event):
    """A person or an agent sent the update `verb` to the saga, with a valid signature: `key` is its
    id, `says` the argument as it was received, `ledger` the name of the ledger that was signed.
    `repeat` names the update, which may come twice."""

    upcasters: ClassVar[tuple[Upcaster, ...]] = (lambda old: {**old, "ledger": None},)

    verb: str
    repeat: str
    key: str
    value: str
    says: Json
    ledger: str | None = None


class SagaCommitRefused(Event):
    """A late attempt of an older epoch tried to commit a step and was refused."""

    step: str
    epoch: int
    current_epoch: int


class SagaCompleted(Event):
    """The saga completed with its decision carried out."""

    result: Json
    ended_at: datetime


class SagaCompensated(Event):
    """The saga was compensated: all steps are undone, but for the residuals in the result."""

    result: Json
    ended_at: datetime


class SagaFailed(Event):
    """The saga failed: no step had anything to undo and no decision was reached."""

    result: Json
    ended_at: datetime


class SagaState(State, kw_only=True):
    """The state of a saga, as a row of `ledger.sagas`."""

    kind: str
    operation_id: str
    state: Phase
    epoch: int
    input_hash: str
    input: Json
    namespace: str
    namespace_id: str
    task_queue: str
    workflow_id: str
    run_id: str
    lost: str | None = None
    run_closed: str | None = None
    run_paused: str | None = None
    run_stopped_at: datetime | None = None
    waits_for: str | None = None
    waits_on: str | None = None
    waits_since: datetime | None = None
    waits_until: datetime | None = None
    cause: str | None = None
    cause_reason: str | None = None
    result: Json | None = None
    started_at: datetime
    ended_at: datetime | None = None
    last_repeat: str | None = None

    @property
    def closed(self) -> bool:
        """Whether the saga has ended."""
        return self.state in CLOSED


_GOES_ON: Json = dict.fromkeys(("run_closed", "run_paused", "run_stopped_at"))
# Of a saga that waits for nobody.
_NO_WAIT: Json = dict.fromkeys(("waits_for", "waits_on", "waits_since", "waits_until")) | _GOES_ON


def evolve(state: SagaState | None, event: Event) -> SagaState:
    """Folds one event into the state of a saga. Raises UnknownEvent."""
    if state is None:
        if isinstance(event, SagaStarted):
            started = event.fields()
            # Proof, which no decision needs.
            del started["signed"]
            return SagaState(state="running", epoch=1, **started)
        raise UnknownEvent(f"{type(event).__name__} can't be the first event of a saga")
    return state.changed(**_changed(event))


def _changed(event: Event) -> Json:
    match event:
        case SagaTakenOver():
            changed: Json = _GOES_ON | {
                "namespace": event.namespace,
                "namespace_id": event.namespace_id,
                "task_queue": event.task_queue,
                "run_id": event.run_id,
                "epoch": event.epoch,
                "lost": None,
            }
        case SagaLost():
            # Since when stays.
            known: Json = {"run_closed": None, "run_paused": None}
            changed = known | {"epoch": event.epoch, "lost": event.found}
        case SagaRunClosed() | SagaRunPaused() | SagaRunResumed():
            changed = _GOES_ON | _run_changed(event)
        case SagaDuplicateReceived() | SagaReuseRefused() | SagaDecisionSigned():
            changed = {"last_repeat": event.repeat}
        case SagaCommitRefused():
            changed = {}
        case SagaWaitStarted():
            changed = {
                "waits_for": event.waits_for,
                "waits_on": event.waits_on,
                "waits_since": event.since,
                "waits_until": event.until,
            }
        case SagaWaitEnded():
            changed = _NO_WAIT
        case SagaCompensating():
            changed = _NO_WAIT | {
                "state": "compensating",
                "epoch": event.epoch,
                "cause": event.cause,
                "cause_reason": event.reason,
            }
        case SagaCompleted() | SagaCompensated() | SagaFailed():
            changed = _NO_WAIT | {
                "state": type(event).__name__.removeprefix("Saga").lower(),
                "result": event.result,
                "ended_at": event.ended_at,
            }
        case _:
            raise UnknownEvent(f"{type(event).__name__} can't follow the first event of a saga")
    return changed


def _run_changed(event: SagaRunClosed | SagaRunPaused | SagaRunResumed) -> Json:
    match event:
        case SagaRunClosed():
            return {"run_closed": event.found, "run_stopped_at": event.since}
        case SagaRunPaused():
            return {"run_paused": event.found, "run_stopped_at": event.since}
        case SagaRunResumed():
            return {}


SAGA = AggregateType(
    name="saga",
    columns=state_columns(
        "sagas",
        Column("kind", "text", nullable=False),
        Column("operation_id", "text", nullable=False),
        Column("state", "text", nullable=False),
        Column("epoch", "integer", nullable=False),
        Column("input_hash", "text", nullable=False),
        Column("input", "jsonb", nullable=False),
        Column("namespace", "text", nullable=False),
        Column("namespace_id", "text", nullable=False),
        Column("task_queue", "text", nullable=False),
        Column("workflow_id", "text", nullable=False),
        Column("run_id", "text", nullable=False),
        Column("lost", "text"),
        Column("run_closed", "text"),
        Column("run_paused", "text"),
        Column("run_stopped_at", "timestamptz"),
        Column("waits_for", "text"),
        Column("waits_on", "text"),
        Column("waits_since", "timestamptz"),
        Column("waits_until", "timestamptz"),
        Column("cause", "text"),
        Column("cause_reason", "text"),
        Column("result", "jsonb"),
        Column("started_at", "timestamptz", nullable=False),
        Column("ended_at", "timestamptz"),
        Column("last_repeat", "text"),
        key=("kind", "operation_id"),
    ),
    state=SagaState,
    events=(
        SagaStarted,
        SagaTakenOver,
        SagaLost,
        SagaRunClosed,
        SagaRunPaused,
        SagaRunResumed,
        SagaDuplicateReceived,
        SagaReuseRefused,
        SagaWaitStarted,
        SagaWaitEnded,
        SagaDecisionSigned,
        SagaCompensating,
        SagaCommitRefused,
        SagaCompleted,
        SagaCompensated,
        SagaFailed,
    ),
    evolve=evolve,
)
