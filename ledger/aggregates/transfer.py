"""The aggregate type `transfer`: money moved by a payment adapter under an idempotency key of
ours."""

from typing import Literal

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent
from ledger.aggregates.columns import Column, state_columns
from ledger.aggregates.spend_window import SpendChange


class TransferStarted(Event):
    """A transfer started: recorded before the provider is called, so from here the money may
    move."""

    transfer_id: str
    authorization_id: str
    saga_id: str
    adapter: str
    key: str
    amount_minor: int
    currency: str
    destination: str


class TransferExecuted(Event):
    """The provider moved the money; `reference` is the provider's id of the transfer."""

    reference: str


class TransferRefused(Event):
    """The provider refused the transfer; nothing moved and nothing will."""

    reason: str


class TransferCancelled(Event):
    """The provider cancelled the key, under which it had no transfer: nothing can move."""

    reason: str


class TransferReversed(Event):
    """The provider moved the money back."""

    reference: str


class TransferArrived(Event):
    """The provider moved the money after all, of a transfer that was on record as one that moves
    none. `seen_in` is the id of the statement, or of the look, that has the transfer; `spend` adds
    the amount to the windows of that moment: the payment was undone, and its own spend released."""

    reference: str
    seen_in: str
    spend: list[SpendChange]


class TransferRefundReserved(Event):
    """A refund of this amount may be sent: no other refund gets the same money."""

    refund_id: str
    amount_minor: int


class TransferRefunded(Event):
    """The provider carried out a refund that was reserved."""

    refund_id: str
    amount_minor: int


class TransferRefundReleased(Event):
    """A refund that was reserved was not carried out, and never will be."""

    refund_id: str
    amount_minor: int


class TransferState(State):
    """The state of a transfer, as a row of `ledger.transfers`. `refunding_minor` is reserved for
    refunds without an outcome, `refunded_minor` went back; together they are never above the
    amount."""

    transfer_id: str
    authorization_id: str
    saga_id: str
    adapter: str
    key: str
    amount_minor: int
    currency: str
    destination: str
    state: Literal["started", "executed", "refused", "cancelled", "reversed", "arrived"]
    reference: str | None = None
    reason: str | None = None
    refunding_minor: int = 0
    refunded_minor: int = 0

    @property
    def refundable_minor(self) -> int:
        """The amount that no refund has, in minor units."""
        if self.state != "executed":
            return 0
        return self.amount_minor - self.refunding_minor - self.refunded_minor


def evolve(state: TransferState | None, event: Event) -> TransferState:
    """Folds one event into the state of a transfer. Raises UnknownEvent."""
    match state, event:
        case None, TransferStarted():
            return TransferState(state="started", **event.fields())
        case TransferState(), TransferExecuted():
            return state.changed(state="executed", reference=event.reference)
        case TransferState(), TransferRefused():
            return state.changed(state="refused", reason=event.reason)
        case TransferState(), TransferCancelled():
            return state.changed(state="cancelled", reason=event.reason)
        case TransferState(), TransferReversed():
            return state.changed(state="reversed", reference=event.reference)
        case TransferState(), TransferArrived():
            return state.changed(state="arrived", reference=event.reference)
        case TransferState(), TransferRefundReserved():
            return state.changed(refunding_minor=state.refunding_minor + event.amount_minor)
        case TransferState(), TransferRefunded():
            return state.changed(
                refunding_minor=state.refunding_minor - event.amount_minor,
                refunded_minor=state.refunded_minor + event.amount_minor,
            )
        case TransferState(), TransferRefundReleased():
            return state.changed(refunding_minor=state.refunding_minor - event.amount_minor)
        case _:
            raise UnknownEvent(
                f"{type(event).__name__} does not fit the state of the transfer: run amends verify"
            )


TRANSFER = AggregateType(
    name="transfer",
    columns=state_columns(
        "transfers",
        Column("transfer_id", "text", nullable=False),
        Column("authorization_id", "text", nullable=False),
        Column("saga_id", "text", nullable=False),
        Column("adapter", "text", nullable=False),
        Column("key", "text", nullable=False),
        Column("amount_minor", "bigint", nullable=False),
        Column("currency", "text", nullable=False),
        Column("destination", "text", nullable=False),
        Column("state", "text", nullable=False),
        Column("reference", "text"),
        Column("reason", "text"),
        Column("refunding_minor", "bigint", nullable=False),
        Column("refunded_minor", "bigint", nullable=False),
    ),
    state=TransferState,
    events=(
        TransferStarted,
        TransferExecuted,
        TransferRefused,
        TransferCancelled,
        TransferReversed,
        TransferArrived,
        TransferRefundReserved,
        TransferRefunded,
        TransferRefundReleased,
    ),
    evolve=evolve,
)


def transfer_name(transfer_id: str) -> str:
    """The aggregate name of a transfer: `transfer/7f...`."""
    return f"transfer/{transfer_id}"
