"""Defines what a payment provider does for a saga, and how its calls fail.

A report is what the provider said. What is not a report is an exception:

    PaymentError
    ├── OutcomeUnknown       it may have landed: `find` it, never assume
    ├── NothingSent          this call did nothing: make it again, later
    └── NotTheSameTransfer   the key belongs to another order: never repeat it
Messages never carry an account number.
"""

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from ledger.words import recordable

TransferStatus = Literal["executed", "refused", "cancelled", "reversed"]
AccountKind = Literal["cbu", "iban"]
ACCOUNT_KINDS: frozenset[AccountKind] = frozenset({"cbu", "iban"})


def account_kind(account: str) -> AccountKind:
    """The kind of a checked account number: a CBU has digits only, an IBAN begins with letters."""
    return "cbu" if account.isdecimal() else "iban"


class PaymentError(Exception):
    """Root of the payment adapters' errors."""


class OutcomeUnknown(PaymentError):
    """The call is in doubt (a timeout, a dropped connection, a 5xx): it may or may not have been
    carried out.

    Keep the money reserved, ask `find` with growing pauses; `transfer`, `cancel` and `reverse`
    may be called again with the same key while the provider remembers keys.

    `again_in_s`: before that the provider has no news. `for_ever`: the provider will never tell,
    and a person has to find out.
    """

    def __init__(
        self, message: str, again_in_s: float | None = None, *, for_ever: bool = False
    ) -> None:
        super().__init__(message)
        self.again_in_s, self.for_ever = again_in_s, for_ever


class NothingSent(PaymentError):
    """The provider could not be reached: this call certainly did nothing. Repeat it later, in
    `again_in_s` seconds where the provider says when.

    It speaks of this call alone, never of an earlier one with the same key.
    """

    def __init__(self, message: str, again_in_s: float | None = None) -> None:
        super().__init__(message)
        self.again_in_s = again_in_s


class NotTheSameTransfer(PaymentError):
    """The provider has the key with another amount, currency or destination, or for a refund
    where we send a transfer, or the other way round.

    Nothing was done. Repeating can't help: a person has to look at who used the key.
    """


@dataclass(frozen=True)
class TransferOrder:
    """An order to pay `amount_minor` minor units of `currency` (ISO 4217) to `destination`, a
    checked CBU or IBAN: see `account_kind`.

    `key` names the transfer for ever: the same key is the same transfer.
    """

    key: str
    amount_minor: int
    currency: str
    destination: str = field(repr=False)
    description: str = ""


@dataclass(frozen=True)
class RefundOrder:
    """An order to bring back `amount_minor` minor units of `currency` of the executed transfer with
    the key `transfer_key`, all of it or a part.

    `key` names the refund for ever: keys of refunds and of transfers are of one name space.
    """

    key: str
    transfer_key: str
    amount_minor: int
    currency: str
    description: str = ""


@dataclass(frozen=True)
class TransferReport:
    """The provider's report on a key, of a transfer or a refund.

    executed   the money moved; `reference` is the provider's own id of the transfer or refund
    refused    the provider said no, for `reason`; nothing moved, and where `can_cancel` is true
               the key stays refused
    cancelled  nothing moved, and nothing will ever move under this key
    reversed   the money moved and came back; `reference` is still the transfer's

    Amount, currency and destination are the provider's record; None where it has none: the key
    was cancelled before any order with it arrived. Of a refund, `refund_of` is the key of its
    transfer and `destination` that of the transfer. `reference` and `reason` are cut where they are
    longer than what the ledger takes. `known_before`: the provider says that this order was not the
    first with its key.
    """

    key: str
    status: TransferStatus
    reference: str | None
    reason: str | None
    amount_minor: int | None
    currency: str | None
    destination: str | None = field(repr=False)
    refund_of: str | None = None
    known_before: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("reference", "reason"):
            if (text := getattr(self, name)) is not None:
                object.__setattr__(self, name, recordable(text))


class PaymentAdapter(Protocol):
    """A payment provider. Every call is idempotent by key and may be repeated or raced."""

    @property
    def name(self) -> str:
        """The name of the adapter in settings and events."""
        ...

    @property
    def can_reverse(self) -> bool:
        """Whether `reverse` exists. Where it does not, an executed transfer is final: the saga
        goes forward from it, and is never compensated while it may still be executed."""
        ...

    @property
    def can_cancel(self) -> bool:
        """Whether `cancel` stops what has not arrived. Where it does not, an absent transfer is
        believed to be absent only once no attempt can still deliver it."""
        ...

    @property
    def can_refund(self) -> bool:
        """Whether `refund` exists. Where it does not, every refund is denied."""
        ...

    @property
    def account(self) -> str:
        """An opaque name of the account, and of the place, that pays: a transfer in doubt is
        looked up there and nowhere else."""
        ...

    def known_as(self, key: str) -> str:
        """What the provider knows the transfer of a key by: always the same for a key, for the
        operator who asks the provider, and for its statement."""
        ...

    @property
    def pays_to(self) -> Collection[AccountKind]:
        """The kinds of accounts that it pays to. A payment to another one is denied."""
        ...

    async def transfer(self, order: TransferOrder) -> TransferReport:
        """Carries out the order once, however often it is called, and reports the state of the key.

        A repeat gives the first answer; a cancelled key stays `cancelled`.
        Raises OutcomeUnknown, NothingSent, NotTheSameTransfer.
        """
        ...

    async def refund(self, order: RefundOrder) -> TransferReport:
        """Brings money of an executed transfer back once, however often it is called with the key,
        and reports the state of the key, as `transfer` does; `find` and `cancel` take its key, too.

        The refunds of a transfer are never above its amount, however many come at once: one that
        would be is `refused`, and so is one of a transfer that is not executed. Never called where
        `can_refund` is false. Raises OutcomeUnknown, NothingSent, NotTheSameTransfer.
        """
        ...

    async def find(self, key: str) -> TransferReport | None:
        """Looks the key up; None when the provider reports that it has no such key.

        None is no promise for the future: an order under way may still arrive. Only `cancel`
        makes absence final. Raises OutcomeUnknown when the provider can't tell.
        """
        ...

    async def cancel(self, key: str) -> TransferReport:
        """Makes sure that no order with this key is carried out from now on, known or not yet.

        An executed transfer is reported `executed` and left alone: it takes `reverse`. Where
        `can_cancel` is false nothing is stopped: this reports what is final, and raises
        OutcomeUnknown for a key that is absent or under way. Raises OutcomeUnknown, NothingSent.
        """
        ...

    async def reverse(self, key: str) -> TransferReport:
        """Brings the money of an executed transfer back, once.

        A key under which nothing moved ends as after `cancel`, so this alone is a whole undo. Not
        for refunds, nor for a transfer of which some was refunded: those stay as they are.
        Never called where `can_reverse` is false. Raises OutcomeUnknown, NothingSent.
        """
        ...


@runtime_checkable
class Listing(Protocol):
    """An adapter that can list what was booked, where no file of the bank is at hand."""

    def statement(self, begins_at: datetime, ends_at: datetime) -> AsyncGenerator[str]:
        """Yields the pieces of a statement of that time, in a format of `activities.statements`,
        with the end-to-end id of each key. Raises OutcomeUnknown, NothingSent."""
        ...
