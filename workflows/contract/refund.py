"""The request and the result of `RefundSaga`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ledger.aggregates.money import Money, money_text
from ledger.aggregates.names import payment_saga
from workflows.contract.fields import (
    FirstDefaults,
    Line,
    Metadata,
    OperationId,
    Reports,
    Result,
    Signable,
    User,
)

# Of a payment that a schedule started, the name has colons.
PaymentName = Annotated[str, Field(pattern=r"^(payment/)?[A-Za-z0-9._:-]{1,64}$")]


class RefundRequest(Signable):
    """Input of `RefundSaga`: a person asks for money of a captured payment back. `payment` is its
    workflow id or its operation id; without an `amount` it is all that is left."""

    first_defaults: ClassVar[FirstDefaults] = {"operation_id": None, "amount": None}

    operation_id: OperationId | None = None
    payment: PaymentName
    amount: Money | None = None
    reason: Annotated[Line, Field(min_length=1)]
    actor: User
    metadata: Metadata = Field(default_factory=dict)

    @property
    def payment_id(self) -> str:
        """The workflow id of the payment."""
        return payment_saga(self.payment)

    def about(self) -> list[str]:
        """What is asked for, for people."""
        amount = money_text(self.amount) if self.amount else "all that is left"
        return [f"refund of {amount} of {self.payment_id}"]


RefundEnd = Literal["refunded", "denied", "voided", "failed"]


class RefundResult(Result):
    """Result of `RefundSaga`: `refunded`, `denied` for `reason`, one of the contract's words,
    `voided` (cancelled before it was sent), or `failed`: the provider did not carry it out, and the
    amount may be refunded by another. `steps` says how each step ended where some was undone."""

    state: RefundEnd
    refund_id: str | None = None
    transfer_id: str | None = None
    provider_reference: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    reason: str | None = None
    residuals: list[str] = Field(default_factory=list)
    steps: Reports = Field(default_factory=list)
