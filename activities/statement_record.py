"""What is recorded of a statement that was compared: its sums, and a case for each difference."""

from collections.abc import Sequence

from activities.cases import balance_case, case_of, opening_case
from activities.statement_files import ComparedFile
from activities.statements.continuity import unconnected
from ledger.aggregates.case import CaseOpened
from ledger.aggregates.statement import StatementReconciled, StatementState, StatementSum


def cases_of(
    statement_id: str, compared: ComparedFile, recorded: Sequence[StatementState]
) -> list[CaseOpened]:
    """A case for each difference, and for each balance that does not follow; `recorded` are the
    statements before."""
    found = [case_of(statement_id, each) for each in compared.outcome.differences]
    for statement in compared.statements:
        for currency, totals in sorted(statement.totals.items()):
            if totals.missing_minor:
                found.append(balance_case(statement_id, statement, currency, totals))
    return [
        *found,
        *(
            opening_case(statement_id, statement, currency, off)
            for statement, currency, off in unconnected(compared.statements, recorded)
        ),
    ]


def event_of(
    statement_id: str,
    saga_id: str,
    name: str,
    adapter: str,
    compared: ComparedFile,
    differences: int,
) -> StatementReconciled:
    """The event of a comparison: `name` is what the file was called, `differences` how many
    cases there are."""
    return StatementReconciled(
        statement_id=statement_id,
        adapter=adapter,
        name=name,
        saga_id=saga_id,
        matched=compared.outcome.matched,
        differences=differences,
        sums=[
            StatementSum(
                statement=each.statement,
                currency=currency,
                complete=each.complete,
                begins_at=each.begins_at.isoformat() if each.begins_at else None,
                ends_at=each.ends_at.isoformat() if each.ends_at else None,
                opening_minor=totals.opening_minor,
                closing_minor=totals.closing_minor,
                credits_minor=totals.credits_minor,
                debits_minor=totals.debits_minor,
                booked=totals.booked,
                pending=totals.pending,
                other=totals.other,
                account=each.account_name,
            )
            for each in compared.statements
            for currency, totals in sorted(each.totals.items())
        ],
        awaited=sorted(compared.outcome.awaited),
        ahead=sorted(compared.outcome.ahead),
    )
