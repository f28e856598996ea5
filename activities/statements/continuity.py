"""Which statements follow each other: by their account, and by the opening balance of one after the
closing balance of another."""

from collections.abc import Collection, Sequence
from datetime import datetime

from activities.statements.entry import Statement
from ledger.aggregates.statement import StatementState

# An account in a currency, by the names of both.
_Account = tuple[str, str]
# When a statement ended, and with which balance.
_Closing = tuple[datetime, int]


def of_another_account(
    statements: Sequence[Statement], recorded: Sequence[StatementState], accounts: Collection[str]
) -> Statement | None:
    """The first statement of an account that is none of `accounts`; without these, of another one
    than the statements before in its currencies."""
    for each in statements:
        name = each.account_name
        if accounts and name not in accounts:
            return each
        before = {
            known.account
            for state in recorded
            for known in state.sums
            if known.account is not None and known.currency in each.totals
        }
        if not accounts and name and before and name not in before:
            return each
    return None


def unconnected(
    statements: Sequence[Statement], recorded: Sequence[StatementState]
) -> list[tuple[Statement, str, int]]:
    """The statements, with the currency, whose opening balance is not the closing balance of the
    statement before of the same account, here or on record, and by how much.

    Before is the one that ended last until this one begins: one that covers its time again is
    compared with what came before that time.
    """
    closings = _recorded(recorded)
    found: list[tuple[Statement, str, int]] = []
    for statement in sorted(statements, key=lambda each: (each.begins_at is None, each.begins_at)):
        begins, ends, account = statement.begins_at, statement.ends_at, statement.account_name
        if not statement.complete or begins is None or ends is None or account is None:
            continue
        for currency, totals in sorted(statement.totals.items()):
            mine = closings.setdefault((account, currency), [])
            before = max((each for each in mine if each[0] <= begins), default=None)
            opening, closing = totals.opening_minor, totals.closing_minor
            if before is not None and opening is not None and opening != before[1]:
                found.append((statement, currency, opening - before[1]))
            if closing is not None:
                mine.append((ends, closing))
    return found


def _recorded(recorded: Sequence[StatementState]) -> dict[_Account, list[_Closing]]:
    found: dict[_Account, list[_Closing]] = {}
    for state in recorded:
        for each in state.sums:
            if each.account and each.complete and each.ends_at and each.closing_minor is not None:
                ended = datetime.fromisoformat(each.ends_at)
                found.setdefault((each.account, each.currency), []).append(
                    (ended, each.closing_minor)
                )
    return found
