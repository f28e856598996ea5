"""The aggregate type `case`: a difference between a bank's statement and our record, until a person
closes it with evidence."""

from typing import ClassVar, Literal

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, Upcaster
from ledger.aggregates.columns import Column, state_columns

# Whoever closes a case is a person.
PERSON = "user:"
CaseKind = Literal["there_not_here", "here_not_there", "different", "twice", "balance", "arrived"]


class CaseOpened(Event):
    """A difference was found. `case_id` is made of the statement and the difference, so that the
    same difference of the same statement is one case for ever. `arrived` is money that moved after
    its payment was undone; found by asking the provider, its `statement_id` names that look.

    `booked` is what the bank has, `recorded` what the transfer lets expect, each None where there
    is none; `entry` is the number of the entry in the file, from 1. `detail` says what differs.
    """

    # Of the second version is the kind `arrived`.
    upcasters: ClassVar[tuple[Upcaster, ...]] = (lambda old: {**old},)

    case_id: str
    statement_id: str
    kind: CaseKind
    transfer_id: str | None = None
    direction: Literal["credit", "debit"] | None = None
    entry: int | None = None
    reference: str | None = None
    end_to_end_id: str | None = None
    booked_minor: int | None = None
    booked_currency: str | None = None
    recorded_minor: int | None = None
    recorded_currency: str | None = None
    detail: str | None = None


class CaseClosed(Event):
    """A person closed the case: `evidence` says what became of the difference."""

    closed_by: str
    evidence: str


class CaseState(State):
    """The state of a case, as a row of `ledger.cases`."""

    case_id: str
    statement_id: str
    kind: CaseKind
    state: Literal["open", "closed"]
    transfer_id: str | None = None
    direction: Literal["credit", "debit"] | None = None
    entry: int | None = None
    reference: str | None = None
    end_to_end_id: str | None = None
    booked_minor: int | None = None
    booked_currency: str | None = None
    recorded_minor: int | None = None
    recorded_currency: str | None = None
    detail: str | None = None
    closed_by: str | None = None
    evidence: str | None = None


def evolve(state: CaseState | None, event: Event) -> CaseState:
    """Folds one event into the state of a case. Raises UnknownEvent."""
    match state, event:
        case None, CaseOpened():
            return CaseState(state="open", **event.fields())
        case CaseState(), CaseClosed():
            return state.changed(state="closed", **event.fields())
        case _:
            raise UnknownEvent(
                f"{type(event).__name__} does not fit the state of the case: run amends verify"
            )


CASE = AggregateType(
    name="case",
    columns=state_columns(
        "cases",
        Column("case_id", "text", nullable=False),
        Column("statement_id", "text", nullable=False),
        Column("kind", "text", nullable=False),
        Column("state", "text", nullable=False),
        Column("transfer_id", "text"),
        Column("direction", "text"),
        Column("entry", "bigint"),
        Column("reference", "text"),
        Column("end_to_end_id", "text"),
        Column("booked_minor", "bigint"),
        Column("booked_currency", "text"),
        Column("recorded_minor", "bigint"),
        Column("recorded_currency", "text"),
        Column("detail", "text"),
        Column("closed_by", "text"),
        Column("evidence", "text"),
    ),
    state=CaseState,
    events=(CaseOpened, CaseClosed),
    evolve=evolve,
)


def case_name(case_id: str) -> str:
    """The aggregate name of a case: `case/5f...`."""
    return f"case/{case_id}"
