"""The requests and results of `AgentSaga` and `PolicySaga`."""

from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from ledger.aggregates.money import CurrencyCode, amount_text
from ledger.aggregates.time_zones import ZONES
from workflows.contract.fields import (
    FirstDefaults,
    Input,
    Limit,
    Line,
    Metadata,
    Name,
    OperationId,
    User,
)


class AgentRequest(Input):
    """Input of `AgentSaga`: register an agent that asks on behalf of `user`, or revoke it."""

    first_defaults: ClassVar[FirstDefaults] = {"operation_id": None, "user": None, "reason": None}

    operation_id: OperationId | None = None
    action: Literal["register", "revoke"]
    agent_id: Name
    user: User | None = None
    actor: User
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _user_of_a_new_agent(self) -> "AgentRequest":
        if self.action == "register" and self.user is None:
            raise ValueError("user is needed to register an agent")
        return self

    def about(self) -> list[str]:
        """What is asked for, for people."""
        return [f"{self.action} agent {self.agent_id}"]


AgentEnd = Literal["registered", "revoked"]


class AgentResult(Input):
    """Result of `AgentSaga`."""

    state: AgentEnd
    agent_id: str


def _known_zone(name: str) -> str:
    if name not in ZONES:
        raise ValueError("not an IANA time zone, such as America/Argentina/Buenos_Aires")
    return name


class PolicyRequest(Input):
    """Input of `PolicySaga`: the spending limits of an agent, in minor units of `currency`. An
    amount equal to a limit is allowed, equal to the threshold is automatic."""

    first_defaults: ClassVar[FirstDefaults] = {
        "operation_id": None,
        "time_zone": "UTC",
        "reason": None,
    }

    operation_id: OperationId | None = None
    agent_id: Name
    currency: CurrencyCode
    max_per_transaction_minor: Limit
    daily_limit_minor: Limit
    approval_threshold_minor: Limit
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    actor: User
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)

    def about(self) -> list[str]:
        """What is asked for, for people: the agent and its limits."""
        at_once, daily, above = (
            amount_text(minor, self.currency)
            for minor in (
                self.max_per_transaction_minor,
                self.daily_limit_minor,
                self.approval_threshold_minor,
            )
        )
        first = f"policy of agent {self.agent_id}: at most {at_once} at once"
        return [first, f"daily limit: {daily}", f"a person approves above: {above}"]


class PolicyResult(Input):
    """Result of `PolicySaga`: the version of the policy that decisions will name."""

    state: Literal["set"]
    agent_id: str
    policy_version: int
