"""The request and the result of `MandateSaga`."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, model_validator

from ledger.aggregates.money import CurrencyCode
from workflows.contract.fields import (
    Actor,
    FirstDefaults,
    Limit,
    Line,
    Metadata,
    Name,
    OperationId,
    Result,
    Signable,
)
from workflows.contract.policy import Accounts, Count

Purposes = Annotated[list[Name], Field(max_length=100)]


class MandateRequest(Signable):
    """Input of `MandateSaga`: grant the `mandate` to an agent, below `parent` where it is
    delegated, or revoke it with all below it.

    All payments under it together may be `amount_minor` minor units of `currency` in `count`
    payments; equal is allowed. Without `destinations` every account is allowed, without `purposes`
    every purpose, and none. What a delegation leaves out is as in its parent, and nothing may be
    wider. A user grants; the agent that holds the parent may delegate; an agent that holds a
    mandate, or one above it, may revoke it.
    """

    first_defaults: ClassVar[FirstDefaults] = dict.fromkeys(
        (
            *("operation_id", "agent_id", "parent", "currency", "amount_minor", "count"),
            *("destinations", "purposes", "valid_from", "valid_until", "reason"),
        )
    )

    operation_id: OperationId | None = None
    action: Literal["grant", "revoke"]
    mandate: Name
    agent_id: Name | None = None
    parent: Name | None = None
    currency: CurrencyCode | None = None
    amount_minor: Limit | None = None
    count: Count | None = None
    destinations: Accounts | None = None
    purposes: Purposes | None = None
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    actor: Actor
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> "MandateRequest":
        if self.action == "revoke":
            return self
        if self.agent_id is None:
            raise ValueError("agent_id is needed to grant a mandate")
        if self.parent is None and self.currency is None:
            raise ValueError("currency is needed where no parent has one")
        if self.parent is None and not self.actor.startswith("user:"):
            raise ValueError("parent is needed: an agent delegates a part of its own mandate")
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            raise ValueError("valid_until must be after valid_from")
        return self

    def about(self) -> list[str]:
        """What is asked for, for people."""
        if self.action == "revoke":
            return [f"revoke mandate {self.mandate}"]
        below = [f"delegated from mandate {self.parent}"] if self.parent else []
        return [f"grant mandate {self.mandate} to agent {self.agent_id}", *below]


class MandateResult(Result):
    """Result of `MandateSaga`: `mandate` is the name of the mandate, which payments give."""

    state: Literal["granted", "revoked"]
    mandate: str
