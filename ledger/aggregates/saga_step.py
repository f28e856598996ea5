"""The aggregate type `step`: the input of a step of a saga, its undo plan and its outcome."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from msgspec import field

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, Upcaster
from ledger.aggregates.columns import Column, state_columns
from ledger.aggregates.names import step_name as step_name
from ledger.aggregates.step_report import ENDED as ENDED

Json = dict[str, Any]
Outcome = Literal["started", "unknown", "done", "refused", "failed", "undone", "skipped"]
# Nobody knows yet whether it happened.
UNDECIDED = frozenset({"started", "unknown"})


class UndoPlan(State):
    """The undo of a step as data: the activity by name, its input, and whether it calls an external
    system.

    `tries`: after so many answers that were no success a person is asked, or the saga goes on and
    reports a residual; None: it is tried for ever. `beside`: the ordinals of the steps that were
    under way when this one began; all other earlier ones are undone after it.
    """

    activity: str
    request: Json
    outside: bool
    tries: int | None = None
    then: Literal["ask", "go_on"] = "ask"
    beside: list[int] = field(default_factory=list)

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        """Has the plan read and written as a part of pydantic models, too."""
        from pydantic_core import core_schema

        writes = core_schema.plain_serializer_function_ser_schema(cls.as_json)
        return core_schema.no_info_plain_validator_function(cls.read, serialization=writes)


@dataclass(frozen=True)
class UndoPolicy:
    """Says how often an undo is tried: for ever, or up to `tries` times, after which an operator is
    asked or the saga goes on and reports a residual.

    Only answers count (no, nobody can tell, or a bug): while a server is away it is tried for ever.
    """

    tries: int | None = None
    then: Literal["ask", "go_on"] = "ask"


FOR_EVER = UndoPolicy()


class StepClaimed(Event):
    """Base of the first event of every step: the idempotency record."""

    saga_id: str
    name: str
    ordinal: int
    epoch: int
    activity: str
    input_hash: str
    undo: UndoPlan | None


class StepCommitted(StepClaimed):
    """A step was claimed and done in one commit: it writes only to our database."""

    result: Json


class StepStarted(StepClaimed):
    """A step was claimed, with its undo plan, before its external call; `facts` is what was read
    from the external system."""

    deadline: datetime
    facts: Json | None = None


class StepLeftUnknown(Event):
    """The external call is in doubt: its outcome is looked up, and what the step holds stays
    held; when it is still in doubt at `until`, an operator is asked."""

    upcasters: ClassVar[tuple[Upcaster, ...]] = (lambda old: {**old, "until": None},)

    reason: str
    until: datetime | None = None


class StepDone(Event):
    """The external call succeeded at try number `tries`."""

    result: Json
    tries: int = 1


class StepRefused(Event):
    """The external system refused, finally."""

    reason: str
    tries: int = 1


class StepFailed(Event):
    """The step failed for good, and its effect is known not to have happened."""

    reason: str
    tries: int = 1


class StepUndone(Event):
    """The step was undone, or found never to have happened and prevented; `note` says which,
    `residual` what could not be undone."""

    note: str
    residual: str | None = None
    tries: int = 1


class StepAttentionRequested(Event):
    """The step or its undo was escalated: an operator has to look."""

    reason: str
    epoch: int
    tries: int
    undoing: bool


class StepUndoDelayed(Event):
    """The undo had no success in `tries` tries and is tried again; `reason` is the last answer."""

    reason: str
    epoch: int
    tries: int


class StepRetryRequested(Event):
    """An operator requested another try of the step or its undo; `tries` had no success so far."""

    reason: str | None
    epoch: int
    tries: int
    undoing: bool


class StepSkipped(Event):
    """The undo was given up, by an operator or by the undo policy; `residual` is what is left."""

    residual: str
    tries: int


class StepResolved(Event):
    """An operator resolved the outcome, with evidence (a reference, a ticket)."""

    outcome: Literal["done", "failed", "undone"]
    evidence: str
    result: Json | None = None
    residual: str | None = None


class StepState(State):
    """The state of a step, as a row of `ledger.saga_steps`."""

    saga_id: str
    name: str
    ordinal: int
    epoch: int
    activity: str
    input_hash: str
    undo: UndoPlan | None
    state: Outcome
    deadline: datetime | None = None
    facts: Json | None = None
    result: Json | None = None
    reason: str | None = None
    residual: str | None = None
    tries: int = 0
    undo_tries: int = 0
    attention: str | None = None
    # Why its undo had no success so far, while it is tried again.
    delayed: str | None = None
    # The epoch in which a person was asked last, or said something.
    asked_in: int = 0
    # While the outcome is looked up: then an operator is asked.
    looked_up_until: datetime | None = None

    @property
    def undecided(self) -> bool:
        """Whether the outcome of the step is not on record yet."""
        return self.state in UNDECIDED

    @property
    def holds_forward(self) -> bool:
        """Whether the step is done, or may be, and nothing undoes it: the facts of its start say
        `final`. Its saga is not compensated while this holds."""
        is_final = bool((self.facts or {}).get("final"))
        return is_final and (self.undecided or self.state == "done")


def evolve(state: StepState | None, event: Event) -> StepState:
    """Folds one event into the state of a step. Raises UnknownEvent."""
    if state is None:
        match event:
            case StepCommitted():
                return StepState(state="done", tries=1, **event.fields())
            case StepStarted():
                return StepState(state="started", tries=1, **event.fields())
            case _:
                raise UnknownEvent(f"{type(event).__name__} can't be the first event of a step")
    match event:
        case StepLeftUnknown():
            doubt = {"state": "unknown", "reason": event.reason, "looked_up_until": event.until}
            return state.changed(**doubt)
        case StepAttentionRequested() | StepRetryRequested():
            asked = event.reason if isinstance(event, StepAttentionRequested) else None
            tries = "undo_tries" if event.undoing else "tries"
            changed = {"attention": asked, "asked_in": event.epoch, tries: event.tries}
            return state.changed(**changed, delayed=None, looked_up_until=None)
        case StepUndoDelayed():
            delayed = {"undo_tries": event.tries, "delayed": event.reason, "asked_in": event.epoch}
            return state.changed(**delayed)
        case _:
            # Nobody is asked any more, however it ended.
            over = {"attention": None, "delayed": None, "looked_up_until": None}
            return state.changed(**{**over, **_ended(event)})


def comes_late(state: StepState, event: Event) -> bool:
    """Whether an escalation, a delay or an operator's `retry` was recorded before and the step has
    gone on since, or a doubt was that still stands: two workers may have had the same task."""
    if isinstance(event, StepLeftUnknown):
        return state.state == "unknown" and state.looked_up_until is not None
    if not isinstance(event, StepAttentionRequested | StepRetryRequested | StepUndoDelayed):
        return False
    undoing = isinstance(event, StepUndoDelayed) or event.undoing
    known = (state.asked_in, state.undo_tries if undoing else state.tries)
    comes = (event.epoch, event.tries)
    # A `retry` answers the question that was asked after as many tries.
    return comes < known or (comes == known and not isinstance(event, StepRetryRequested))


def _ended(event: Event) -> Json:
    match event:
        case StepDone():
            return {"state": "done", "result": event.result, "tries": event.tries, "reason": None}
        case StepRefused():
            return {"state": "refused", "reason": event.reason, "tries": event.tries}
        case StepFailed():
            return {"state": "failed", "reason": event.reason, "tries": event.tries}
        case StepUndone():
            undone = {"state": "undone", "reason": event.note, "undo_tries": event.tries}
            return undone | {"residual": event.residual}
        case StepSkipped():
            return {"state": "skipped", "residual": event.residual, "undo_tries": event.tries}
        case StepResolved():
            told = {"state": event.outcome, "reason": event.evidence, "residual": event.residual}
            return told | ({"result": event.result} if event.result is not None else {})
        case _:
            raise UnknownEvent(f"{type(event).__name__} can't follow the first event of a step")


STEP = AggregateType(
    name="step",
    columns=state_columns(
        "saga_steps",
        Column("saga_id", "text", nullable=False),
        Column("name", "text", nullable=False),
        Column("ordinal", "integer", nullable=False),
        Column("epoch", "integer", nullable=False),
        Column("activity", "text", nullable=False),
        Column("input_hash", "text", nullable=False),
        Column("undo", "jsonb"),
        Column("state", "text", nullable=False),
        Column("deadline", "timestamptz"),
        Column("facts", "jsonb"),
        Column("result", "jsonb"),
        Column("reason", "text"),
        Column("residual", "text"),
        Column("tries", "integer", nullable=False),
        Column("undo_tries", "integer", nullable=False),
        Column("attention", "text"),
        Column("delayed", "text"),
        Column("asked_in", "integer", nullable=False),
        Column("looked_up_until", "timestamptz"),
    ),
    state=StepState,
    events=(
        StepCommitted,
        StepStarted,
        StepLeftUnknown,
        StepDone,
        StepRefused,
        StepFailed,
        StepUndone,
        StepAttentionRequested,
        StepUndoDelayed,
        StepRetryRequested,
        StepSkipped,
        StepResolved,
    ),
    evolve=evolve,
)
