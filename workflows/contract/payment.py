"""The request and the result of `PaymentSaga`."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from activities.adapters.cbu import check_cbu
from activities.adapters.iban import check_iban
from ledger.aggregates.money import Money, money_text
from workflows.contract.fields import (
    Duration,
    FirstDefaults,
    Input,
    Line,
    Metadata,
    Name,
    OperationId,
    Reports,
    Result,
    Signable,
)

# The one that is not given is no part of a request, as before there were two.
_LEFT_OUT = Field(exclude_if=lambda account: account is None)


class Destination(Input):
    """The destination of a payment: `cbu`, a CBU or CVU of 22 digits, or `iban`, stored in capitals
    and without spaces. Exactly one of them."""

    cbu: Annotated[Annotated[str, AfterValidator(check_cbu)] | None, _LEFT_OUT] = None
    iban: Annotated[Annotated[str, AfterValidator(check_iban)] | None, _LEFT_OUT] = None

    @model_validator(mode="after")
    def _is_one_account(self) -> "Destination":
        if (self.cbu is None) == (self.iban is None):
            raise ValueError("either cbu or iban is needed, and not both")
        return self

    @property
    def account(self) -> str:
        """The number of the account."""
        return self.cbu or self.iban or ""


class PaymentRequest(Signable):
    """Input of `PaymentSaga`. `capture` `manual` waits for the update `capture`, as long as
    `capture_within` and the policy allow.

    Without an `operation_id` the run takes the one in its workflow id: a run that a schedule
    starts, or one with a start delay.
    """

    first_defaults: ClassVar[FirstDefaults] = {
        "operation_id": None,
        "description": "",
        "capture": "automatic",
        "approve_within": "P1D",
        "capture_within": None,
    }

    operation_id: OperationId | None = None
    agent_id: Name
    amount: Money
    destination: Destination
    description: Line = ""
    capture: Literal["automatic", "manual"] = "automatic"
    approve_within: Duration = timedelta(days=1)
    capture_within: Duration | None = None
    metadata: Metadata = Field(default_factory=dict)

    @property
    def actor(self) -> str:
        """The actor that asks: the agent."""
        return f"agent:{self.agent_id}"

    def about(self) -> list[str]:
        """What is asked for, for people: amount and agent, never payee and description."""
        amount = f"payment of {money_text(self.amount)} for agent {self.agent_id}"
        return [amount, *(["captured by its agent"] if self.capture == "manual" else [])]


PaymentEnd = Literal["captured", "denied", "rejected", "expired", "voided", "compensated"]


class PaymentResult(Result):
    """Result of `PaymentSaga`. `reason` is one of the contract's words; `residuals` names what
    could not be undone, and `steps` how each step of a compensated saga ended."""

    state: PaymentEnd
    authorization_id: str | None = None
    transfer_id: str | None = None
    provider_reference: str | None = None
    reason: str | None = None
    residuals: list[str] = Field(default_factory=list)
    steps: Reports = Field(default_factory=list)
