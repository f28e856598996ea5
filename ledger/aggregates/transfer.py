"""A transfer: the money itself, moved by a payment adapter under our key."""

from typing import Literal

from sqlalchemy import BigInteger, Column, Text

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, state_table


class TransferStarted(Event):
    """Written before the provider is called: from here the money may move."""

    transfer_id: str
    authorization_id: str
    saga_id: str
    adapter: str
    key: str
    amount_minor: int
    currency: str
    destination: str


class TransferExecuted(Event):
    """The provider moved the money; `reference` is its own name for that."""

    reference: str


class TransferRefused(Event):
    """The provider said no; nothing moved and nothing will."""

    reason: str


class TransferCancelled(Event):
    """The provider does not know the key and refuses it from now on: nothing can move."""

    reason: str


class TransferReversed(Event):
    """The provider moved the money back."""

    reference: str


class TransferState(State):
    """The state of a transfer: a row of its table."""

    transfer_id: str
    authorization_id: str
    saga_id: str
    adapter: str
    key: str
    amount_minor: int
    currency: str
    destination: str
    state: Literal["started", "executed", "refused", "cancelled", "reversed"]
    reference: str | None = None
    reason: str | None = None


def evolve(state: TransferState | None, event: Event) -> TransferState:
    """Fold one event into the state of a transfer. Raises UnknownEvent."""
    match state, event:
        case None, TransferStarted():
            return TransferState(state="started", **vars(event))
        case TransferState(), TransferExecuted():
            return state.model_copy(update={"state": "executed", "reference": event.reference})
        case TransferState(), TransferRefused():
            return state.model_copy(update={"state": "refused", "reason": event.reason})
        case TransferState(), TransferCancelled():
            return state.model_copy(update={"state": "cancelled", "reason": event.reason})
        case TransferState(), TransferReversed():
            return state.model_copy(update={"state": "reversed", "reference": event.reference})
        case _:
            raise UnknownEvent(f"{type(event).__name__} does not fit a transfer here")


TRANSFER = AggregateType(
    name="transfer",
    table=state_table(
        "transfers",
        Column("transfer_id", Text, nullable=False),
        Column("authorization_id", Text, nullable=False),
        Column("saga_id", Text, nullable=False),
        Column("adapter", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("amount_minor", BigInteger, nullable=False),
        Column("currency", Text, nullable=False),
        Column("destination", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("reference", Text),
        Column("reason", Text),
    ),
    state=TransferState,
    events=(
        TransferStarted,
        TransferExecuted,
        TransferRefused,
        TransferCancelled,
        TransferReversed,
    ),
    evolve=evolve,
)


def transfer_name(transfer_id: str) -> str:
    """The aggregate of a transfer: `transfer/7f...`."""
    return f"transfer/{transfer_id}"
