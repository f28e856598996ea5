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
    IfGiven,
    Input,
    Line,
    Metadata,
    Name,
    OperationId,
    Reports,
    Result,
    Signable,
)


class Destination(Input):
    """The destination of a payment: `cbu`, a CBU or CVU of 22 digits, or `iban`, stored in capitals
    and without spaces. Exactly one of them."""

    cbu: Annotated[Annotated[str, AfterValidator(check_cbu)] | None, IfGiven] = None
    iban: Annotated[Annotated[str, AfterValidator(check_iban)] | None, IfGiven] = None

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
    `capture_within` and the policy allow. `mandate` is the budget of the agent that it is paid
    under, for a `purpose`.

    Without an `operation_id` the run takes the one in its workflow id: a run that a schedule
    starts, or one with a start delay.
    """

    first_defaults: ClassVar[FirstDefaults] = {
        "operation_id": None,
        "description": "",
        "capture": "automatic",
        "approve_within": "P1D",
        "capture_within": None,
        "mandate": None,
        "purpose": None,
    }

    operation_id: OperationId | None = None
    agent_id: Name
    amount: Money
    destination: Destination
    description: Line = ""
    capture: Literal["automatic", "manual"] = "automatic"
    approve_within: Duration = timedelta(days=1)
    capture_within: Duration | None = None
    mandate: Annotated[Name | None, IfGiven] = None
    purpose: Annotated[Name | None, IfGiven] = None
    metadata: Metadata = Field(default_factory=dict)

    @property
    def actor(self) -> str:
        """The actor that asks: the agent."""
        return f"agent:{self.agent_id}"

    def about(self) -> list[str]:
        """What is asked for, for people: amount and agent, never payee and description."""
        amount = f"payment of {money_text(self.amount)} for agent {self.agent_id}"
        under = [f"under mandate {self.mandate}"] if self.mandate else []
        return [amount, *under, *(["captured by its agent"] if self.capture == "manual" else [])]


PaymentEnd = Literal["captured", "denied", "rejected", "expired", "voided", "compensated"]


class PaymentResult(Result):
    """Result of `PaymentSaga`. `reason` is one of the contract's words; `residuals` names what
    could not be undone, and `steps` how each step of a compensated saga ended. `captured_minor`: so
    much was captured; with several captures, transfer and reference are those of the first."""

    state: PaymentEnd
    authorization_id: str | None = None
    transfer_id: str | None = None
    provider_reference: str | None = None
    captured_minor: Annotated[int | None, Field(exclude_if=lambda minor: minor is None)] = None
    reason: str | None = None
    residuals: list[str] = Field(default_factory=list)
    steps: Reports = Field(default_factory=list)
