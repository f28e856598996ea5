"""The saga of a refund: the amount is reserved on the transfer, then the provider sends it back."""

from collections.abc import Mapping
from typing import Any

from temporalio import workflow

from activities import transfers
from activities.refunds import Refund, RefundActivities, RefundStanding, ReserveRefund
from ledger.sagas.saga_log import Compensation
from workflows.contract.kinds import REFUND
from workflows.contract.refund import RefundEnd, RefundRequest, RefundResult
from workflows.engine.workflow import SagaWorkflow

# The end of a saga by the state of its refund; of one that was compensated, any other has failed.
_ENDS: Mapping[str, RefundEnd] = {
    "executed": "refunded",
    "denied": "denied",
    "voided": "voided",
}


@workflow.defn
class RefundSaga(SagaWorkflow[RefundRequest, RefundResult]):
    """Refunds a payment, all of it or a part: input `RefundRequest`, result `RefundResult`."""

    kind = REFUND
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> RefundResult:
        """Validate the input as a `RefundRequest` and run the saga."""
        return await self.carry_out(raw)

    async def story(self, request: RefundRequest) -> RefundResult:
        """Reserve the amount on a transfer of the payment, and have the provider send it back."""
        held = await self._reserve(request)
        self.saga.decided(held.state, held.reason)
        if held.state == "denied":
            return _result("denied", held, held.reason)
        assert held.transfer_id is not None
        assert held.transfer_key is not None
        assert held.amount_minor is not None
        assert held.currency is not None
        sent = await self.saga.call(
            "execute refund",
            RefundActivities.execute_refund,
            Refund(
                refund_id=held.refund_id,
                transfer_id=held.transfer_id,
                transfer_key=held.transfer_key,
                amount_minor=held.amount_minor,
                currency=held.currency,
            ),
            tell_within=transfers.TELL_WITHIN,
        )
        self.saga.pivot()
        self.saga.show(decision="refunded")
        done = held.model_copy(update={"provider_reference": sent.provider_reference})
        return _result("refunded", done)

    async def _reserve(self, request: RefundRequest) -> RefundStanding:
        """Decide on the refund and reserve the amount, in one commit."""
        amount = request.amount
        return await self.saga.step(
            "reserve refund",
            RefundActivities.reserve_refund,
            ReserveRefund(
                payment=request.payment,
                amount_minor=amount.minor if amount else None,
                currency=amount.currency if amount else None,
            ),
            undo=RefundActivities.release_refund,
        )

    async def compensated(self, request: RefundRequest, undone: Compensation) -> RefundResult:
        """The result of a refund that was not carried out: voided, or failed at the provider."""
        held = await self.saga.read(RefundActivities.read_refund, self.saga.saga_id)
        end = _ENDS.get(held.state, "failed")
        self.saga.show(decision=end)
        reason = held.reason if end == "denied" else undone.cause
        found = _result(end, held, reason)
        told = {"residuals": undone.residuals, "steps": undone.reports}
        return found.model_copy(update=told)

    def subjects(self, request: RefundRequest) -> list[str]:
        """The aggregate that the saga is about: the saga of the payment."""
        return [f"saga/{request.payment_id}"]


def _result(end: RefundEnd, held: RefundStanding, reason: str | None = None) -> RefundResult:
    return RefundResult(
        state=end,
        refund_id=held.refund_id,
        transfer_id=held.transfer_id,
        provider_reference=held.provider_reference,
        amount_minor=held.amount_minor,
        currency=held.currency,
        reason=reason,
    )
