"""The aggregate type `mandate`: a budget that an agent holds and may delegate a part of."""

from datetime import datetime
from typing import Literal

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent
from ledger.aggregates.columns import Column, state_columns
from ledger.aggregates.names import mandate_name as mandate_name
from ledger.aggregates.spend_window import (
    FIRST_DAY,
    MANDATE_PERIOD,
    SpendChange,
    SpendLimit,
    SpendWindow,
)


class MandateGranted(Event):
    """A user granted an agent a budget, or a part of a mandate was delegated to another agent.

    `chain` are the mandates above it, that of a user first. Amounts in minor units of `currency`;
    None is no limit, and without a list everything is allowed. Valid from `valid_from` until before
    `valid_until`.
    """

    mandate_id: str
    agent_id: str
    chain: list[str]
    currency: str
    amount_minor: int | None
    count: int | None
    destinations: list[str] | None
    purposes: list[str] | None
    valid_from: datetime
    valid_until: datetime | None


class MandateRevoked(Event):
    """A mandate was revoked: nothing more is paid under it, nor under a mandate below it."""

    reason: str | None = None


class MandateState(State):
    """The state of a mandate, as a row of `ledger.mandates`."""

    mandate_id: str
    agent_id: str
    chain: list[str]
    currency: str
    amount_minor: int | None
    count: int | None
    destinations: list[str] | None
    purposes: list[str] | None
    valid_from: datetime
    valid_until: datetime | None
    state: Literal["active", "revoked"]

    @property
    def limit(self) -> SpendLimit:
        """The limit of all payments under it together."""
        return SpendLimit(amount_minor=self.amount_minor, count=self.count)

    @property
    def window(self) -> SpendWindow:
        """The spend window that counts the payments under it, for its whole life."""
        return SpendWindow(
            agent_id=mandate_name(self.mandate_id),
            currency=self.currency,
            period=MANDATE_PERIOD,
            starts_on=FIRST_DAY,
        )

    def spend(self, amount_minor: int) -> SpendChange:
        """The change of its window by one payment."""
        return SpendChange(window=self.window, amount_minor=amount_minor, count=1)


def evolve(state: MandateState | None, event: Event) -> MandateState:
    """Folds one event into the state of a mandate. Raises UnknownEvent."""
    match state, event:
        case None, MandateGranted():
            return MandateState(state="active", **event.fields())
        case MandateState(), MandateRevoked():
            return state.changed(state="revoked")
        case _:
            raise UnknownEvent(
                f"{type(event).__name__} does not fit the state of the mandate: run amends verify"
            )


MANDATE = AggregateType(
    name="mandate",
    columns=state_columns(
        "mandates",
        Column("mandate_id", "text", nullable=False),
        Column("agent_id", "text", nullable=False),
        Column("chain", "jsonb", nullable=False),
        Column("currency", "text", nullable=False),
        Column("amount_minor", "bigint"),
        Column("count", "integer"),
        Column("destinations", "jsonb"),
        Column("purposes", "jsonb"),
        Column("valid_from", "timestamptz", nullable=False),
        Column("valid_until", "timestamptz"),
        Column("state", "text", nullable=False),
    ),
    state=MandateState,
    events=(MandateGranted, MandateRevoked),
    evolve=evolve,
)
