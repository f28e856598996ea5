"""What goes wrong with a payment of the soak: faults of the bank, and what people do to it."""

from dataclasses import dataclass
from itertools import cycle

from activities.adapters.mock import FaultName, Operation

# Long enough for a cancel to find the transfer at work, also on a slow machine.
CANCELLABLE_MS = 3_000
SHORT_MS = 200
BROKEN: tuple[FaultName, ...] = (
    *("timeout_before", "timeout_after", "answer_twice", "slow", "slow_after"),
)


@dataclass(frozen=True)
class StuckSaga:
    """A kind of trouble: the faults that wait for its calls, what people do, and how it may end.

    `asks`: above the threshold, so that a person is asked. `does`: `approve`, `reject` and `cancel`
    are updates once the decision is known; `cancel at once` is Temporal's, and so is `cancel in
    transfer`, when the money has moved and nobody has heard of it.
    """

    name: str
    faults: tuple[tuple[Operation, FaultName, int], ...] = ()
    does: tuple[str, ...] = ()
    ends: frozenset[str] = frozenset({"captured"})
    asks: bool = False
    too_much: bool = False
    approve_within: str = "P1D"


def _of(*ends: str) -> frozenset[str]:
    return frozenset(ends)


NONE = StuckSaga("none")
# A cancel may come before there is anything to undo, or when all is done.
AT_ONCE = _of("failed: cancelled", "voided", "compensated", "captured")

_SENT = [
    StuckSaga("transfer: refuse", (("transfer", "refuse", 0),), ends=_of("compensated")),
    *(StuckSaga(f"transfer: {fault}", (("transfer", fault, SHORT_MS),)) for fault in BROKEN),
]
# The bank is asked only about a transfer of which nothing was heard.
_ASKED = [
    StuckSaga(f"find: {fault}", (("transfer", "timeout_after", 0), ("find", fault, SHORT_MS)))
    for fault in BROKEN
]
_TAKEN_BACK = [
    StuckSaga(
        f"reverse: {fault}",
        (("transfer", "slow_after", CANCELLABLE_MS), ("reverse", fault, SHORT_MS)),
        ("cancel in transfer",),
        _of("compensated", "captured"),
    )
    for fault in BROKEN
]
_PEOPLE = [
    StuckSaga("approved by a person", (), ("approve",), asks=True),
    StuckSaga("rejected by a person", (), ("reject",), _of("rejected"), asks=True),
    StuckSaga("cancelled while it waits", (), ("cancel",), _of("voided"), asks=True),
    StuckSaga("cancelled at once", (), ("cancel at once",), AT_ONCE),
    StuckSaga("cancelled at once, twice", (), ("cancel at once", "cancel at once"), AT_ONCE),
    StuckSaga(
        "cancelled in its transfer, twice",
        (("transfer", "slow_after", CANCELLABLE_MS),),
        ("cancel in transfer", "cancel at once"),
        _of("compensated", "captured"),
    ),
    StuckSaga("not approved in time", (), (), _of("expired"), asks=True, approve_within="PT1S"),
    StuckSaga("denied", (), (), _of("denied"), too_much=True),
]
TROUBLES = [*_SENT, *_ASKED, *_TAKEN_BACK, *_PEOPLE]


def troubles(sagas: int, every: int) -> list[StuckSaga]:
    """One for each saga: every so many meets a trouble, and all kinds come in turn."""
    kinds = cycle(TROUBLES)
    return [next(kinds) if number % every == 0 else NONE for number in range(sagas)]
