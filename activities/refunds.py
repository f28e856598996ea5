"""Activities on refunds: the amount is reserved on the transfer that it goes back from, then the
provider is asked to carry the refund out, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from pydantic import JsonValue
from temporalio import activity

from activities import sending
from activities.adapters.payment import PaymentAdapter, RefundOrder, TransferReport
from activities.asked import require_asked
from activities.authorizations import authorization_of
from activities.errors import Failed, Refused
from activities.sending import Order, Sender
from activities.step import Claim, Request
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import AuthorizationState, authorization_name
from ledger.aggregates.names import payment_saga
from ledger.aggregates.refund import (
    RefundCancelled,
    RefundDenied,
    RefundExecuted,
    RefundRefused,
    RefundRequested,
    RefundReserved,
    RefundStarted,
    RefundState,
    RefundVoided,
    refund_name,
)
from ledger.aggregates.saga import SagaState, saga_name
from ledger.aggregates.saga_step import StepDone, StepFailed, StepRefused, StepState, StepUndone
from ledger.aggregates.step_report import UndoReport
from ledger.aggregates.transfer import (
    TransferRefunded,
    TransferRefundReleased,
    TransferRefundReserved,
    TransferState,
    transfer_name,
)
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read.current_state import state_of
from ledger.reading import read
from ledger.sagas.step_log import (
    Started,
    StepOutcome,
    commit_step,
    finish_step,
    start_step,
    undo_step,
)
from ledger.store.commit import Decision, Loaded, Ref

Json = dict[str, Any]


class ReserveRefund(Request):
    """A refund that a person asks for: of `payment`, as the person names it. Without an amount
    (minor units, ISO 4217) it is of all that is left."""

    payment: str
    amount_minor: int | None = None
    currency: str | None = None


class Refund(Request):
    """Request to bring back money of an executed transfer, which is reserved for it."""

    refund_id: str
    transfer_id: str
    transfer_key: str
    amount_minor: int
    currency: str


class RefundStanding(Request):
    """The current state of a refund. `admitted` is the request of the saga, where this answer
    opened it; `transfer_key` is the key of the transfer that it goes back from."""

    refund_id: str
    state: str
    reason: str | None = None
    transfer_id: str | None = None
    transfer_key: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    provider_reference: str | None = None
    admitted: dict[str, JsonValue] | None = None


class Refunded(Request):
    """An executed refund; `provider_reference` is the provider's id of it."""

    refund_id: str
    provider_reference: str


def refund_of(saga_id: str) -> str:
    """The id of the refund of a saga: derived, so a repeat finds the same."""
    return str(uuid5(NAMESPACE_OID, f"amends:refund:{saga_id}"))


def captured_transfers(authorization: AuthorizationState | None) -> list[str]:
    """The ids of the transfers by which an authorization was captured, in their order: what is in
    doubt, or may still be undone, is none of them."""
    if authorization is None:
        return []
    if authorization.parts:
        return [part.transfer_id for part in authorization.parts if part.state == "settled"]
    is_captured = authorization.state == "captured" and authorization.transfer_id is not None
    return [authorization.transfer_id or ""] if is_captured else []


@dataclass(frozen=True)
class AskedRefund:
    """A refund before its decision: who refunds, what is asked for, and the transfers that may be
    refunded."""

    can_refund: bool
    adapter: str
    request: ReserveRefund
    authorization: AuthorizationState | None
    transfers: Sequence[TransferState]

    def decide(self) -> TransferState | str:
        """The transfer that the refund draws on, or the word for which it is denied."""
        asked, authorization = self.request, self.authorization
        if authorization is None:
            return "unknown_payment"
        if not self.transfers:
            is_open = authorization.state == "capturing"
            return "capture_undecided" if is_open else "not_captured"
        if not self.can_refund or any(each.adapter != self.adapter for each in self.transfers):
            return "not_refundable"
        if asked.currency not in (None, authorization.currency):
            return "another_currency"
        amount = self.amount_minor
        if amount == 0 or amount > self._left_minor:
            return "exceeds_captured"
        fits = (each for each in self.transfers if each.refundable_minor >= amount)
        return next(fits, "exceeds_one_capture")

    @property
    def amount_minor(self) -> int:
        """What is asked for, or all that is left."""
        return self._left_minor if self.request.amount_minor is None else self.request.amount_minor

    @property
    def _left_minor(self) -> int:
        return sum(each.refundable_minor for each in self.transfers)


def _told(request: ReserveRefund) -> Json:
    minor, currency = request.amount_minor, request.currency
    amount = None if minor is None else {"minor": minor, "currency": currency}
    return {"payment": request.payment, "amount": amount}


def _reserved(refund: RefundState | None, transfer: TransferState | None) -> Refund | None:
    """The refund that may be sent, as it is on record."""
    if refund is None or transfer is None or refund.amount_minor is None:
        return None
    return Refund(
        refund_id=refund.refund_id,
        transfer_id=refund.transfer_id or "",
        transfer_key=transfer.key,
        amount_minor=refund.amount_minor,
        currency=transfer.currency,
    )


class RefundActivities:
    """Refunds through a payment adapter. The key is the saga's id: never the caller's retry."""

    def __init__(self, database: Database, adapter: PaymentAdapter) -> None:
        self._database, self._adapter = database, adapter
        self._sender = Sender(database, adapter)

    @activity.defn
    async def reserve_refund(self, claim: Claim, request: ReserveRefund) -> RefundStanding:
        """Decides on a refund, and reserves the amount in the same commit: on the first transfer of
        the payment that has as much left."""
        refund_id = refund_of(claim.saga_id)
        name = refund_name(refund_id)
        payment = payment_saga(request.payment)
        authorization_id = authorization_of(payment)
        authorization = authorization_name(authorization_id)
        # A transfer that is captured stays so: their names may be read before the commit.
        known = await state_of(self._database, authorization)
        assert known is None or isinstance(known, AuthorizationState)
        transfers = {each: transfer_name(each) for each in captured_transfers(known)}

        def reserve(loaded: Loaded) -> Decision[Json]:
            require_asked(loaded, claim, self._database.signing, "refund", _told(request))
            captured = captured_transfers(loaded[authorization])
            asked = AskedRefund(
                can_refund=self._adapter.can_refund,
                adapter=self._adapter.name,
                request=request,
                authorization=loaded[authorization],
                transfers=[loaded[transfers[each]] for each in captured if each in transfers],
            )
            requested = RefundRequested(
                refund_id=refund_id,
                saga_id=claim.saga_id,
                authorization_id=authorization_id,
                requested_at=loaded.now,
                **request.model_dump() | {"payment": payment},
            )
            drawn_on = asked.decide()
            if isinstance(drawn_on, str):
                denied = RefundDenied(reason=drawn_on)
                result = {"state": "denied", "reason": drawn_on}
                return Decision(result, [(name, requested), (name, denied)])
            reserved = RefundReserved(
                transfer_id=drawn_on.transfer_id,
                amount_minor=asked.amount_minor,
                currency=drawn_on.currency,
            )
            taken = TransferRefundReserved(refund_id=refund_id, amount_minor=asked.amount_minor)
            events = [
                (name, requested),
                (name, reserved),
                (transfers[drawn_on.transfer_id], taken),
            ]
            return Decision({"state": "reserved"}, events)

        refs = [
            Ref(saga_name(claim.saga_id)),
            Ref(name),
            Ref(authorization, "share"),
            *(Ref(each) for each in transfers.values()),
        ]
        await commit_step(self._database, claim.author(), claim.step_claim(request), refs, reserve)
        standing = await self._standing(refund_id)
        return standing.model_copy(update={"admitted": claim.admitted})

    async def _standing(self, refund_id: str) -> RefundStanding:
        state = await state_of(self._database, refund_name(refund_id))
        assert isinstance(state, RefundState)
        transfer_key = None
        if state.transfer_id is not None:
            transfer = await state_of(self._database, transfer_name(state.transfer_id))
            assert isinstance(transfer, TransferState)
            transfer_key = transfer.key
        return RefundStanding(
            refund_id=refund_id,
            state=state.state,
            reason=state.reason,
            transfer_id=state.transfer_id,
            transfer_key=transfer_key,
            amount_minor=state.amount_minor,
            currency=state.currency,
            provider_reference=state.reference,
        )

    @activity.defn
    async def read_refund(self, saga_id: str) -> RefundStanding:
        """Reads the current state of the refund of a saga."""
        return await self._standing(refund_of(saga_id))

    @activity.defn
    async def execute_refund(self, claim: Claim, request: Refund) -> Refunded:
        """Sends the refund once and records the provider's answer.

        Raises Refused, Failed (not sent in time), OutcomeUnknown and NothingSent, as
        `execute_transfer`. Money that came back is not sent again: the start of the step says
        `final`, and the saga goes forward until the outcome is on record.
        """
        started = await self._start(claim, request)
        step = started.step
        if step.undecided:
            report = await self._sender.outcome_of(claim, started, self._order(claim, request))
            step = await self._finish(claim, request, report)
        if step.state == "refused":
            raise Refused("provider_refused")
        if step.state != "done" or step.result is None:
            raise Failed("provider_failed")
        return read(Refunded, step.result)

    def _order(self, claim: Claim, request: Refund) -> Order:
        order = RefundOrder(
            key=claim.saga_id,
            transfer_key=request.transfer_key,
            amount_minor=request.amount_minor,
            currency=request.currency,
        )
        return Order(
            what="refund",
            key=order.key,
            send=lambda: self._adapter.refund(order),
            is_ours=lambda report: _is_ours(report, order),
            final=True,
        )

    async def _start(self, claim: Claim, request: Refund) -> Started:
        name, transfer = refund_name(request.refund_id), transfer_name(request.transfer_id)

        def start(loaded: Loaded) -> Decision[Json | None]:
            refund: RefundState | None = loaded[name]
            found = refund.state if refund else "unknown"
            if found != "reserved":
                raise StateRefused(
                    f"can't refund: the refund is {found}, not reserved", "not_allowed"
                )
            if request != _reserved(refund, loaded[transfer]):
                raise StateRefused(
                    "can't refund: another refund is reserved than this one", "not_allowed"
                )
            # The adapter may be another one than when it was decided.
            if not self._adapter.can_refund:
                raise StateRefused(
                    f"the adapter {self._adapter.name} refunds nothing", "not_refundable"
                )
            begun = RefundStarted(adapter=self._adapter.name, key=claim.saga_id)
            return Decision(self._sender.facts(self._order(claim, request)), [(name, begun)])

        return await start_step(
            self._database,
            claim.author(),
            claim.step_claim(request),
            [Ref(name), Ref(transfer, "share")],
            start,
            within=sending.SEND_WITHIN,
        )

    async def _finish(
        self, claim: Claim, request: Refund, report: TransferReport | None
    ) -> StepState:
        refund, transfer = refund_name(request.refund_id), transfer_name(request.transfer_id)

        def finish(loaded: Loaded) -> Decision[StepOutcome]:
            event, outcome = _outcome(request.refund_id, report)
            ended = (
                TransferRefunded if isinstance(event, RefundExecuted) else TransferRefundReleased
            )
            taken = ended(refund_id=request.refund_id, amount_minor=request.amount_minor)
            return Decision(outcome, [(refund, event), (transfer, taken)])

        refs = [Ref(refund), Ref(transfer)]
        step = claim.step_claim(request)
        return await finish_step(self._database, claim.author(), step, refs, finish)

    @activity.defn
    async def release_refund(self, claim: Claim, request: ReserveRefund) -> UndoReport:
        """Undo of `reserve_refund`: releases what is reserved for a refund that was not sent."""
        name = refund_name(refund_of(claim.saga_id))
        known = await state_of(self._database, name)
        transfer_id = known.transfer_id if isinstance(known, RefundState) else None
        refs = [Ref(transfer_name(transfer_id))] if transfer_id else []

        def release(loaded: Loaded) -> Decision[StepUndone]:
            refund: RefundState | None = loaded[name]
            if refund is None or refund.state != "reserved":
                return Decision(StepUndone(note="nothing is reserved"))
            saga: SagaState = loaded[saga_name(claim.saga_id)]
            assert refund.transfer_id is not None
            assert refund.amount_minor is not None
            voided = RefundVoided(reason=saga.cause_reason or saga.cause or "cancelled")
            back = TransferRefundReleased(
                refund_id=refund.refund_id, amount_minor=refund.amount_minor
            )
            events = [(name, voided), (transfer_name(refund.transfer_id), back)]
            return Decision(StepUndone(note="the amount may be refunded by another"), events)

        step = claim.step_claim(request)
        return await undo_step(self._database, claim.author(), step, [Ref(name), *refs], release)


def _outcome(refund_id: str, report: TransferReport | None) -> tuple[Event, StepOutcome]:
    if report is not None and report.status == "executed":
        reference = report.reference or ""
        done = Refunded(refund_id=refund_id, provider_reference=reference)
        return RefundExecuted(reference=reference), StepDone(result=done.model_dump())
    if report is not None and report.status == "refused":
        reason = report.reason or "no reason given"
        return RefundRefused(reason=reason), StepRefused(reason=reason)
    reason = report.reason or report.status if report else "not sent before its deadline"
    return RefundCancelled(reason=reason), StepFailed(reason="provider_failed")


def _is_ours(report: TransferReport, order: RefundOrder) -> bool:
    """Whether the report, where money moved, is of our refund."""
    ours = (order.amount_minor, order.currency, order.transfer_key)
    theirs = (report.amount_minor, report.currency, report.refund_of)
    return report.status not in ("executed", "reversed") or theirs == ours
