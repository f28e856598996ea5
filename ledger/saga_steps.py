"""A step of a saga: its input, how it is undone, its outcome. An aggregate of its own."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, DateTime, Integer, Text
from sqlalchemy.dialects.postgresql import JSONB

from ledger.noun import Event, Noun, State, UnknownEvent, state_table

Json = dict[str, Any]
Outcome = Literal["started", "done", "refused", "failed", "undone"]


class UndoPlan(State):
    """How a step is undone, as data: the activity by name, its input, and whether it calls out."""

    activity: str
    request: Json
    outside: bool


class StepClaimed(Event):
    """What every step begins with."""

    saga_id: str
    name: str
    ordinal: int
    epoch: int
    activity: str
    input_hash: str
    undo: UndoPlan | None


class StepCommitted(StepClaimed):
    """Claimed and done in one commit: the step only touched our database."""

    result: Json


class StepStarted(StepClaimed):
    """Claimed, with its undo, before the outside is called; `facts` is what was read there."""

    deadline: datetime
    facts: Json | None = None


class StepDone(Event):
    """The outside did it."""

    result: Json


class StepRefused(Event):
    """The outside said no, and that is final."""

    reason: str


class StepFailed(Event):
    """It will never work, and it is known that it did not happen."""

    reason: str


class StepUndone(Event):
    """Undone, or found never to have happened and prevented; `note` says which, `residual` what
    is left that could not be undone."""

    note: str
    residual: str | None = None


class StepState(State):
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


def evolve(state: StepState | None, event: Event) -> StepState:
    if state is None:
        match event:
            case StepCommitted():
                return StepState(state="done", **dict(event))
            case StepStarted():
                return StepState(state="started", **dict(event))
            case _:
                raise UnknownEvent(f"{type(event).__name__} can't be the first event of a step")
    match event:
        case StepDone():
            return state.model_copy(update={"state": "done", "result": event.result})
        case StepRefused():
            return state.model_copy(update={"state": "refused", "reason": event.reason})
        case StepFailed():
            return state.model_copy(update={"state": "failed", "reason": event.reason})
        case StepUndone():
            changed = {"state": "undone", "reason": event.note, "residual": event.residual}
            return state.model_copy(update=changed)
        case _:
            raise UnknownEvent(f"{type(event).__name__} is no event of a started step")


STEP = Noun(
    name="step",
    table=state_table(
        "saga_steps",
        Column("saga_id", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("ordinal", Integer, nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("activity", Text, nullable=False),
        Column("input_hash", Text, nullable=False),
        Column("undo", JSONB(none_as_null=True)),
        Column("state", Text, nullable=False),
        Column("deadline", DateTime(timezone=True)),
        Column("facts", JSONB(none_as_null=True)),
        Column("result", JSONB(none_as_null=True)),
        Column("reason", Text),
        Column("residual", Text),
    ),
    state=StepState,
    events=(StepCommitted, StepStarted, StepDone, StepRefused, StepFailed, StepUndone),
    evolve=evolve,
)


def step_name(saga_id: str, step: str) -> str:
    """The aggregate of a step: `step/payment/expenses-2026-11/authorize`."""
    return f"step/{saga_id}/{step}"
