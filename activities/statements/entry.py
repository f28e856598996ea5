"""What a bank's file says, in any format: entries, balances, and one summary per statement."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

import msgspec

Direction = Literal["credit", "debit"]
# Only `booked` moved money. `pending` may still be booked or dropped; `other` is information, or a
# status of the bank's own.
Status = Literal["booked", "pending", "other"]


class StatementRefused(Exception):
    """The file is not well-formed, not of a known format, or says what can't be: ask the bank for
    another one. `line` counts from 1; nothing of the file was used."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line} of the statement: {reason}")
        self.line, self.reason = line, reason


class Entry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One movement on an account: an entry, or one transaction of an entry that is a batch.

    `direction` is that of the booking itself, also of a reversal: a reversed debit is a credit.
    `statement` and `number` count from 0 in the file; the parts of one batch share their `number`
    and are counted by `part`.
    `batch` says what an entry of several transactions is here: `part` of it, its `total` because
    the file has no amounts of the parts, or the `remainder` by which the parts miss the total
    (charges). `transactions` is how many the file counts in a total, 0 where it does not say.
    """

    statement: int
    number: int
    part: int = 0
    status: Status
    direction: Direction
    amount_minor: int
    currency: str
    reversal: bool = False
    booked_on: date | None = None
    reference: str | None = None
    end_to_end_id: str | None = None
    batch: Literal["part", "total", "remainder"] | None = None
    transactions: int = 1

    @property
    def signed_minor(self) -> int:
        """The amount as a change of the balance: a debit is negative."""
        return self.amount_minor if self.direction == "credit" else -self.amount_minor


class Totals(msgspec.Struct, kw_only=True):
    """One currency of one statement, in signed minor units: a debit balance is negative. None where
    the file has no such balance."""

    opening_minor: int | None = None
    closing_minor: int | None = None
    credits_minor: int = 0
    debits_minor: int = 0
    booked: int = 0
    pending: int = 0
    other: int = 0

    @property
    def missing_minor(self) -> int:
        """How far the closing balance is from the opening balance and the booked entries: 0 where
        they agree, or where one of the balances is not there."""
        if self.opening_minor is None or self.closing_minor is None:
            return 0
        computed = self.opening_minor + self.credits_minor - self.debits_minor
        return self.closing_minor - computed

    def count(self, entry: Entry) -> None:
        """Counts an entry, or a part of one; only a booked one moves the sums."""
        if entry.status == "pending":
            self.pending += 1
        elif entry.status == "other":
            self.other += 1
        else:
            self.booked += 1
            if entry.direction == "credit":
                self.credits_minor += entry.amount_minor
            else:
                self.debits_minor += entry.amount_minor


def account_name(text: str) -> str:
    """The number of an account in the form in which two are compared."""
    return "".join(text.split()).upper()


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, once all of its entries were read. `complete`: the file claims to have every
    entry of the period, from `begins_at` to `ends_at` (exclusive); a notification does not. `id`
    and `account` are the bank's words: for payloads only."""

    statement: int
    id: str
    account: str
    complete: bool
    begins_at: datetime | None
    ends_at: datetime | None
    totals: Mapping[str, Totals]

    @property
    def account_name(self) -> str | None:
        """The account without spaces and in capitals; None where the file names none."""
        return account_name(self.account) or None


# Four times what the formats allow.
_MAX_REFERENCE = 140


def checked_reference(text: str) -> str:
    """A reference of a bank, unchanged. Raises ValueError for one that no ledger would take."""
    if len(text) > _MAX_REFERENCE:
        raise ValueError(f"a reference has {len(text)} characters, and may have {_MAX_REFERENCE}")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("a reference has a control character")
    return text
