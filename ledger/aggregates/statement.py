"""The aggregate type `statement`: a bank's file that was compared with the transfers, once for
ever."""

from typing import ClassVar

import msgspec

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, Upcaster, Value
from ledger.aggregates.columns import Column, state_columns


class StatementSum(Value, kw_only=True, omit_defaults=True):
    """One currency of one statement of the file: its period and its sums, in signed minor units
    where a balance may be a debit. None for what the file does not have; `periods` that is not
    complete says nothing of what is missing. `account` is the bank's name of the account, without
    spaces and in capitals."""

    statement: int
    currency: str
    complete: bool
    begins_at: str | None
    ends_at: str | None
    opening_minor: int | None
    closing_minor: int | None
    credits_minor: int
    debits_minor: int
    booked: int
    pending: int
    other: int
    account: str | None = None


class StatementReconciled(Event):
    """A file was compared with the transfers of an adapter, and each difference has its case.

    `statement_id` is made of the adapter and the file's SHA-256, `name` is what the file was
    called. `awaited` and `ahead` name bookings that the next statement must have, or has had here:
    see activities/statements/periods.py.
    """

    # The first version kept no account, and left out is what is not known.
    upcasters: ClassVar[tuple[Upcaster, ...]] = (dict,)

    statement_id: str
    adapter: str
    name: str
    saga_id: str
    matched: int
    differences: int
    sums: list[StatementSum]
    awaited: list[str]
    ahead: list[str]


class StatementState(State):
    """The state of a statement, as a row of `ledger.statements`."""

    statement_id: str
    adapter: str
    name: str
    saga_id: str
    matched: int
    differences: int
    sums: list[StatementSum] = msgspec.field(default_factory=list)
    awaited: list[str] = msgspec.field(default_factory=list)
    ahead: list[str] = msgspec.field(default_factory=list)


def evolve(state: StatementState | None, event: Event) -> StatementState:
    """Folds one event into the state of a statement. Raises UnknownEvent."""
    match state, event:
        case None, StatementReconciled():
            return StatementState(**event.fields())
        case _:
            raise UnknownEvent(
                f"{type(event).__name__} does not fit the state of the statement: run amends verify"
            )


STATEMENT = AggregateType(
    name="statement",
    columns=state_columns(
        "statements",
        Column("statement_id", "text", nullable=False),
        Column("adapter", "text", nullable=False),
        Column("name", "text", nullable=False),
        Column("saga_id", "text", nullable=False),
        Column("matched", "bigint", nullable=False),
        Column("differences", "bigint", nullable=False),
        Column("sums", "jsonb", nullable=False),
        Column("awaited", "jsonb", nullable=False),
        Column("ahead", "jsonb", nullable=False),
    ),
    state=StatementState,
    events=(StatementReconciled,),
    evolve=evolve,
)


def statement_name(statement_id: str) -> str:
    """The aggregate name of a statement: `statement/mock-5f...`."""
    return f"statement/{statement_id}"
