"""The aggregate type `refund`: money of a captured payment that goes back, all of it or a part."""

from datetime import datetime
from typing import Literal

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent
from ledger.aggregates.columns import Column, state_columns

RefundPhase = Literal[
    "requested", "denied", "reserved", "started", "executed", "refused", "cancelled", "voided"
]


class RefundRequested(Event):
    """A person asked for a refund of `payment`, the name of its saga. Without an amount it is of
    all that is left."""

    refund_id: str
    saga_id: str
    payment: str
    authorization_id: str
    amount_minor: int | None
    currency: str | None
    requested_at: datetime


class RefundDenied(Event):
    """The refund was denied, for a word of the contract; nothing was reserved."""

    reason: str


class RefundReserved(Event):
    """The amount was reserved on the transfer that it goes back from: no other refund gets it."""

    transfer_id: str
    amount_minor: int
    currency: str


class RefundStarted(Event):
    """The refund started: recorded before the provider is called, so from here the money may
    move."""

    adapter: str
    key: str


class RefundExecuted(Event):
    """The provider moved the money; `reference` is the provider's id of the refund."""

    reference: str


class RefundRefused(Event):
    """The provider refused the refund; nothing moved and nothing will."""

    reason: str


class RefundCancelled(Event):
    """The provider cancelled the key, under which it had no refund: nothing can move."""

    reason: str


class RefundVoided(Event):
    """The refund was cancelled before the provider was called."""

    reason: str


class RefundState(State, kw_only=True):
    """The state of a refund, as a row of `ledger.refunds`."""

    refund_id: str
    saga_id: str
    payment: str
    authorization_id: str
    transfer_id: str | None = None
    amount_minor: int | None
    currency: str | None
    adapter: str | None = None
    key: str | None = None
    state: RefundPhase
    reference: str | None = None
    reason: str | None = None
    requested_at: datetime


def evolve(state: RefundState | None, event: Event) -> RefundState:
    """Folds one event into the state of a refund. Raises UnknownEvent."""
    match state, event:
        case None, RefundRequested():
            return RefundState(state="requested", **event.fields())
        case RefundState(), RefundDenied():
            return state.changed(state="denied", reason=event.reason)
        case RefundState(), RefundReserved():
            return state.changed(state="reserved", **event.fields())
        case RefundState(), RefundStarted():
            return state.changed(state="started", **event.fields())
        case RefundState(), RefundExecuted():
            return state.changed(state="executed", reference=event.reference)
        case RefundState(), RefundRefused():
            return state.changed(state="refused", reason=event.reason)
        case RefundState(), RefundCancelled():
            return state.changed(state="cancelled", reason=event.reason)
        case RefundState(), RefundVoided():
            return state.changed(state="voided", reason=event.reason)
        case _:
            raise UnknownEvent(
                f"{type(event).__name__} does not fit the state of the refund: run amends verify"
            )


REFUND = AggregateType(
    name="refund",
    columns=state_columns(
        "refunds",
        Column("refund_id", "text", nullable=False),
        Column("saga_id", "text", nullable=False),
        Column("payment", "text", nullable=False),
        Column("authorization_id", "text", nullable=False),
        Column("transfer_id", "text"),
        Column("amount_minor", "bigint"),
        Column("currency", "text"),
        Column("adapter", "text"),
        Column("key", "text"),
        Column("state", "text", nullable=False),
        Column("reference", "text"),
        Column("reason", "text"),
        Column("requested_at", "timestamptz", nullable=False),
    ),
    state=RefundState,
    events=(
        RefundRequested,
        RefundDenied,
        RefundReserved,
        RefundStarted,
        RefundExecuted,
        RefundRefused,
        RefundCancelled,
        RefundVoided,
    ),
    evolve=evolve,
)


def refund_name(refund_id: str) -> str:
    """The aggregate name of a refund: `refund/7f...`."""
    return f"refund/{refund_id}"
