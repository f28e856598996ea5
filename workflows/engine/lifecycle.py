"""The state machine of a saga: its phases, what may follow each, and why a cancel is refused.

`TABLE` is all of it. Updates, the query `progress`, the live details and the search attributes read
the phase; only the engine and three calls of a story (`pivot`, `refuse_cancel`, its end) change it.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from temporalio.exceptions import ApplicationError


class Phase(Enum):
    """The phases of a saga in its run; `TABLE` says what each one means to others.

    PENDING: not recorded. UNCANCELLABLE: the saga may still fail and be compensated, but a cancel
    is refused. PAST_PIVOT: it goes forward only. STOPPING: compensation is wanted and not recorded.
    LEFT_OPEN: the run ended and the saga did not (its input was refused, another run has it, or it
    was fenced).
    """

    PENDING = auto()
    PENDING_UNCANCELLABLE = auto()
    PENDING_STOPPING = auto()
    RUNNING = auto()
    UNCANCELLABLE = auto()
    PAST_PIVOT = auto()
    STOPPING = auto()
    COMPENSATING = auto()
    COMPLETED = auto()
    COMPENSATED = auto()
    FAILED = auto()
    LEFT_OPEN = auto()


class LifecycleEvent(Enum):
    """The events that change the phase. The first five are states of the ledger's record, by its
    words."""

    OPENED = "running"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    FAILED = "failed"
    CANCEL_REFUSED = "cancel refused from here"
    PIVOTED = "pivot reached"
    STOPPED = "compensation wanted"
    RUN_ENDED = "run ended"


class Row(NamedTuple):
    """A phase: the state that people see, why a cancel is refused ('' where it is taken), and the
    phase after each event. An event that is not named can't happen in this phase."""

    state: str
    refuses_cancel: str
    after: Mapping[LifecycleEvent, Phase]


_P, _E = Phase, LifecycleEvent
_COMPENSATED = "the saga is being compensated ({cause})"
_TOO_FAR = "the saga is {state}, too far to be cancelled"
_ENDED = "the saga has ended as {state}"

# The record may turn out to have ended already: by a commit whose answer was lost, or as the first
# answer to a request that comes again.
_FOUND_ENDED: Mapping[LifecycleEvent, Phase] = {
    _E.COMPLETED: _P.COMPLETED,
    _E.COMPENSATED: _P.COMPENSATED,
    _E.FAILED: _P.FAILED,
}
_FOUND: Mapping[LifecycleEvent, Phase] = {
    _E.COMPENSATING: _P.COMPENSATING,
    **_FOUND_ENDED,
    _E.RUN_ENDED: _P.LEFT_OPEN,
}


def _ended(phase: Phase, event: LifecycleEvent) -> Row:
    """The row of an end: the phase stays, whatever the story still does."""
    stay = (event, _E.OPENED, _E.CANCEL_REFUSED, _E.PIVOTED, _E.STOPPED, _E.RUN_ENDED)
    return Row(event.value, _ENDED, dict.fromkeys(stay, phase))


TABLE: Mapping[Phase, Row] = {
    _P.PENDING: Row(
        "pending",
        "",
        {
            **_FOUND,
            _E.OPENED: _P.RUNNING,
            _E.CANCEL_REFUSED: _P.PENDING_UNCANCELLABLE,
            _E.STOPPED: _P.PENDING_STOPPING,
        },
    ),
    _P.PENDING_UNCANCELLABLE: Row(
        "pending",
        _TOO_FAR,
        {
            **_FOUND,
            _E.OPENED: _P.UNCANCELLABLE,
            _E.CANCEL_REFUSED: _P.PENDING_UNCANCELLABLE,
            _E.STOPPED: _P.PENDING_STOPPING,
        },
    ),
    _P.PENDING_STOPPING: Row("pending", _COMPENSATED, {**_FOUND, _E.OPENED: _P.STOPPING}),
    _P.RUNNING: Row(
        "running",
        "",
        {
            _E.OPENED: _P.RUNNING,
            _E.CANCEL_REFUSED: _P.UNCANCELLABLE,
            _E.PIVOTED: _P.PAST_PIVOT,
            _E.STOPPED: _P.STOPPING,
            _E.COMPLETED: _P.COMPLETED,
            _E.RUN_ENDED: _P.LEFT_OPEN,
        },
    ),
    _P.UNCANCELLABLE: Row(
        "running",
        _TOO_FAR,
        {
            _E.OPENED: _P.UNCANCELLABLE,
            _E.CANCEL_REFUSED: _P.UNCANCELLABLE,
            _E.PIVOTED: _P.PAST_PIVOT,
            _E.STOPPED: _P.STOPPING,
            _E.COMPLETED: _P.COMPLETED,
            _E.RUN_ENDED: _P.LEFT_OPEN,
        },
    ),
    _P.PAST_PIVOT: Row(
        "running",
        "the saga is {state}, past its pivot",
        {
            _E.OPENED: _P.PAST_PIVOT,
            _E.CANCEL_REFUSED: _P.PAST_PIVOT,
            _E.PIVOTED: _P.PAST_PIVOT,
            # Of a step that a person has resolved as failed.
            _E.STOPPED: _P.STOPPING,
            _E.COMPLETED: _P.COMPLETED,
            _E.RUN_ENDED: _P.LEFT_OPEN,
        },
    ),
    # A first step that ran beside others may answer late.
    _P.STOPPING: Row(
        "running",
        _COMPENSATED,
        # Its pivot may be done and can't be undone: the outcome decides, not the cancel.
        {**_FOUND, _E.OPENED: _P.STOPPING, _E.CANCEL_REFUSED: _P.UNCANCELLABLE},
    ),
    _P.COMPENSATING: Row(
        "compensating",
        _COMPENSATED,
        {
            _E.OPENED: _P.COMPENSATING,
            _E.STOPPED: _P.COMPENSATING,
            _E.COMPENSATING: _P.COMPENSATING,
            _E.COMPENSATED: _P.COMPENSATED,
            _E.FAILED: _P.FAILED,
            _E.RUN_ENDED: _P.LEFT_OPEN,
        },
    ),
    _P.COMPLETED: _ended(_P.COMPLETED, _E.COMPLETED),
    _P.COMPENSATED: _ended(_P.COMPENSATED, _E.COMPENSATED),
    _P.FAILED: _ended(_P.FAILED, _E.FAILED),
    # What people see stays what it was: the record is as before.
    _P.LEFT_OPEN: Row(
        "", "its run has ended", {_E.OPENED: _P.LEFT_OPEN, _E.RUN_ENDED: _P.LEFT_OPEN}
    ),
}

NOT_RECORDED = frozenset({_P.PENDING, _P.PENDING_UNCANCELLABLE, _P.PENDING_STOPPING})
ENDED = frozenset({_P.COMPLETED, _P.COMPENSATED, _P.FAILED, _P.LEFT_OPEN})


class Lifecycle:
    """The phase of one saga, and the cause of its compensation once it is compensated."""

    def __init__(self) -> None:
        self.phase = Phase.PENDING
        self.state = TABLE[self.phase].state
        self.cause = ""

    def on(self, event: LifecycleEvent, cause: str = "") -> None:
        """Go to the phase after an event; an event after an end, or repeated, changes nothing.

        Raises ApplicationError `invalid_transition`.
        """
        after = TABLE[self.phase].after.get(event)
        if after is None:
            raise ApplicationError(
                f"{event.name} can't happen to a saga that is {self.phase.name}: its story or the "
                f"engine has a defect",
                type="invalid_transition",
                non_retryable=True,
            )
        self.phase = after
        self.state = TABLE[after].state or self.state
        self.cause = self.cause or cause

    def refuses_cancel(self) -> str:
        """The reason why a cancel is refused; '' where it is taken."""
        return TABLE[self.phase].refuses_cancel.format(state=self.state, cause=self.cause)

    def undone_because(self) -> str:
        """The reason why nothing but the undo goes on; '' for a saga that is not being undone."""
        return self.refuses_cancel() if TABLE[self.phase].refuses_cancel == _COMPENSATED else ""

    @property
    def is_recorded(self) -> bool:
        """Whether the record of the saga was open to this run, so that the run has an epoch."""
        return self.phase not in NOT_RECORDED | {Phase.LEFT_OPEN}

    @property
    def is_past_pivot(self) -> bool:
        """Whether the saga is past its pivot and only goes forward: a step that fails is tried
        again."""
        return self.phase is Phase.PAST_PIVOT

    @property
    def is_compensating(self) -> bool:
        """Whether the compensation is recorded as begun."""
        return self.phase is Phase.COMPENSATING

    @property
    def has_ended(self) -> bool:
        """Whether the saga or its run has ended."""
        return self.phase in ENDED
