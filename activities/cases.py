"""Activities on cases: the differences between a bank's statement and our record."""

from hashlib import sha256
from typing import Any

from temporalio import activity

from activities.adapters.payment import TransferReport
from activities.asked import require_asked
from activities.statements.comparison import Difference
from activities.statements.entry import Statement, Totals
from activities.statements.ids import end_to_end_id
from activities.step import Claim, Request
from ledger.aggregates.aggregate import Event
from ledger.aggregates.amounts import amount_text
from ledger.aggregates.case import CaseClosed, CaseOpened, CaseState, case_name
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.sagas.step_log import commit_step
from ledger.store.canonical_json import MAX_SAFE_INTEGER
from ledger.store.commit import Decision, Loaded, Ref

Json = dict[str, Any]
ARRIVED = "the money moved after the payment was undone"


class CloseCase(Request):
    """Request to close a case."""

    case_id: str
    evidence: str


class CaseActivities:
    """Activities on cases, which write only to our database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def close_case(self, claim: Claim, request: CloseCase) -> None:
        """Closes a case. Raises StateRefused for one that is unknown, or closed by another saga."""
        name = case_name(request.case_id)

        def close(loaded: Loaded) -> Decision[Json]:
            told = request.model_dump(mode="json")
            require_asked(loaded, claim, self._database.signing, "case", told)
            case: CaseState | None = loaded[name]
            if case is None:
                raise StateRefused(
                    "no such case: amends waiting --kind case lists the open ones", "unknown_case"
                )
            if case.state == "closed":
                raise StateRefused(f"{case.closed_by} closed the case before", "case_closed")
            event: Event = CaseClosed(closed_by=claim.actor, evidence=request.evidence)
            return Decision({}, [(name, event)])

        step = claim.step_claim(request)
        await commit_step(self._database, claim.author(), step, [Ref(name)], close)


def case_of(statement_id: str, difference: Difference) -> CaseOpened:
    """The case of a difference."""
    entry, booking = difference.entry, difference.booking
    # What has an entry is known by it: its place in a file that never changes.
    subject = f"{entry.number}.{entry.part}" if entry else booking.name if booking else ""
    seen = booking or entry
    return CaseOpened(
        case_id=_case_id(statement_id, difference.kind, subject),
        statement_id=statement_id,
        kind=difference.kind,
        transfer_id=difference.transfer,
        direction=seen.direction if seen else None,
        entry=entry.number + 1 if entry else None,
        reference=entry.reference if entry else booking.reference if booking else None,
        end_to_end_id=entry.end_to_end_id if entry else booking.end_to_end_id if booking else None,
        booked_minor=_small(entry.amount_minor) if entry else None,
        booked_currency=entry.currency if entry else None,
        recorded_minor=booking.amount_minor if booking else None,
        recorded_currency=booking.currency if booking else None,
        detail=_detail(difference),
    )


def arrival_case(look: str, transfer_id: str, known_as: str, found: TransferReport) -> CaseOpened:
    """The case of a transfer that the provider has executed, found by a look at the provider."""
    return CaseOpened(
        case_id=_case_id(look, "arrived", transfer_id),
        statement_id=look,
        kind="arrived",
        transfer_id=transfer_id,
        direction="debit",
        reference=found.reference,
        end_to_end_id=end_to_end_id(known_as),
        booked_minor=found.amount_minor,
        booked_currency=found.currency,
        recorded_minor=found.amount_minor,
        recorded_currency=found.currency,
        detail=ARRIVED,
    )


def _detail(difference: Difference) -> str | None:
    batch = difference.entry.batch if difference.entry else None
    words = [*difference.fields, *([f"{batch} of a batch"] if batch else [])]
    words += [ARRIVED] if difference.kind == "arrived" else []
    return ", ".join(words) or None


def balance_case(
    statement_id: str, statement: Statement, currency: str, totals: Totals
) -> CaseOpened:
    """The case of a closing balance that the booked entries do not lead to."""
    off = totals.missing_minor
    sign = "-" if off < 0 else ""
    return CaseOpened(
        case_id=_case_id(statement_id, "balance", f"{statement.statement} {currency}"),
        statement_id=statement_id,
        kind="balance",
        booked_currency=currency,
        detail=f"statement {statement.statement + 1} of the file: the closing balance is off by "
        f"{sign}{amount_text(abs(off), currency)}",
    )


def opening_case(
    statement_id: str, statement: Statement, currency: str, off_minor: int
) -> CaseOpened:
    """The case of an opening balance that is not the closing balance before it."""
    sign = "-" if off_minor < 0 else ""
    return CaseOpened(
        case_id=_case_id(statement_id, "balance", f"{statement.statement} {currency} opening"),
        statement_id=statement_id,
        kind="balance",
        booked_currency=currency,
        detail=f"statement {statement.statement + 1} of the file: the opening balance is off by "
        f"{sign}{amount_text(abs(off_minor), currency)} from the closing balance before it: a "
        "statement is missing, or was changed",
    )


def _case_id(statement_id: str, kind: str, subject: str) -> str:
    return sha256(f"{statement_id} {kind} {subject}".encode()).hexdigest()[:32]


def _small(minor: int) -> int | None:
    # No amount of a payment is so large; the file has it.
    return minor if minor <= MAX_SAFE_INTEGER else None
