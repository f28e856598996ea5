"""Sends an order to a payment provider once: looks before it sends again, and believes that an
order is absent only when nothing can deliver it any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    PaymentAdapter,
    TransferReport,
)
from activities.errors import ATTEMPT
from activities.step import Claim, heartbeat
from ledger.aggregates.saga_step import StepState
from ledger.database import Database
from ledger.sagas.step_log import Started
from ledger.store.commit import database_time

# How long an order may be sent. Afterwards we only look: a key that is still unknown then is
# cancelled at the provider and its saga is undone. Five minutes is BIND's pause between looks.
SEND_WITHIN = timedelta(minutes=5)
# A provider that can't cancel may still get the last attempt: it begins before the deadline, gives
# itself up after 25 s, and BIND asks to look again after five minutes. What is not there then is
# not there.
ABSENT_AFTER = timedelta(minutes=6)
# Of clocks that differ by a little.
MARGIN_S = 1.0


@dataclass(frozen=True)
class Order:
    """An order as it is sent: `what` it is in words, its key, the call that sends it, and whether a
    report, where money moved, is of it. `final`: nothing brings its money back, so a foreign one
    under its key takes a person, and is not undone on the strength of a difference."""

    what: str
    key: str
    send: Callable[[], Awaitable[TransferReport]]
    is_ours: Callable[[TransferReport], bool]
    final: bool


class Sender:
    """Sends orders through one adapter, for steps that were started."""

    def __init__(self, database: Database, adapter: PaymentAdapter) -> None:
        self._database, self._adapter = database, adapter

    def facts(self, order: Order) -> dict[str, Any]:
        """The facts that the start of the step stores, for whoever looks the order up later."""
        return {
            "adapter": self._adapter.name,
            "account": self._adapter.account,
            "known_as": self._adapter.known_as(order.key),
            "final": order.final,
        }

    async def outcome_of(
        self, claim: Claim, started: Started, order: Order
    ) -> TransferReport | None:
        """The provider's report, or that of an operator; None when the order was not sent in time
        and never will be. Raises OutcomeUnknown, NothingSent, NotTheSameTransfer."""
        async with asking():
            self._check_adapter(claim, started.step, order)
            return await self._send_once(claim, started, order)

    async def _send_once(
        self, claim: Claim, started: Started, order: Order
    ) -> TransferReport | None:
        if claim.verdict is not None:
            return _by_hand(claim, order)
        deadline = started.step.deadline
        # Before the look: what is not there at that time counts.
        now = await database_time(self._database)
        is_late = deadline is None or now > deadline or claim.withdrawn
        if started.again or (is_late and not self._adapter.can_cancel):
            # An earlier attempt may have sent it: look before sending again.
            known = await self._find(order)
            if known is not None:
                return known
        if is_late and self._adapter.can_cancel:
            ended = await self._adapter.cancel(order.key)
            return _ours(ended, order) if ended.status == "executed" else None
        absent_at = (deadline or now) + ABSENT_AFTER
        if is_late:
            if now > absent_at:
                return None
            raise OutcomeUnknown(
                f"the provider has no such {order.what}, and may still get it",
                max((absent_at - now).total_seconds(), 0) + MARGIN_S,
            )
        try:
            report = _ours(await order.send(), order)
            if report.known_before and not started.again:
                raise NotTheSameTransfer(
                    f"the provider had a {order.what} under our key before ours"
                )
        except NotTheSameTransfer as error:
            raise _foreign(error, order) from None
        if report.status == "refused" and started.again and not self._adapter.can_cancel:
            # It speaks of this attempt, and an earlier one may have got there, or still get there.
            raise OutcomeUnknown(
                "the provider refuses the repeat of an attempt without answer",
                (absent_at - now).total_seconds() + MARGIN_S,
            )
        return report

    async def _find(self, order: Order) -> TransferReport | None:
        try:
            known = await self._adapter.find(order.key)
        except NotTheSameTransfer as error:
            raise _foreign(error, order) from None
        return _ours(known, order) if known is not None else None

    def _check_adapter(self, claim: Claim, step: StepState, order: Order) -> None:
        """Raises NothingSent where another adapter began the order, or one of another account: this
        one would not find it, and send it again."""
        facts = step.facts or {}
        began, account = facts.get("adapter"), facts.get("account")
        if claim.verdict is None and account not in (None, self._adapter.account):
            raise NothingSent(
                f"the {order.what} was begun from another account or address of the provider: run "
                "a worker with those settings for it"
            )
        if claim.verdict is None and began not in (None, self._adapter.name):
            raise NothingSent(
                f"the {order.what} was begun by the adapter {began}: run a worker with "
                f"AMENDS_PAYMENT_ADAPTER={began} for it"
            )


@asynccontextmanager
async def asking() -> AsyncIterator[None]:
    """Limits the time of a call to the provider. Raises OutcomeUnknown when it takes too long: left
    to Temporal's own timeout the call would be tried for ever, and no operator asked."""
    try:
        async with heartbeat(), asyncio.timeout(ATTEMPT.total_seconds()):
            yield
    except TimeoutError:
        within = f"{ATTEMPT.total_seconds():g} s"
        raise OutcomeUnknown(f"the provider gave no answer within {within}") from None


def _ours(report: TransferReport, order: Order) -> TransferReport:
    """The report, if it is of our order: a key with another amount is no idempotency."""
    if not order.is_ours(report):
        different = NotTheSameTransfer(f"the provider has another {order.what} under this key")
        raise _foreign(different, order)
    return report


def _foreign(error: NotTheSameTransfer, order: Order) -> Exception:
    """Another party's order under our key. What can't be undone is not compensated on the strength
    of a difference: a person looks first."""
    return OutcomeUnknown(str(error), for_ever=True) if order.final else error


def _by_hand(claim: Claim, order: Order) -> TransferReport:
    """The outcome that an operator resolved, in the form of a provider's report."""
    assert claim.verdict is not None
    return TransferReport(
        key=order.key,
        status="executed" if claim.verdict.outcome == "done" else "cancelled",
        reference=claim.verdict.evidence,
        reason=claim.verdict.evidence,
        amount_minor=None,
        currency=None,
        destination=None,
    )
