"""The request and the result of `AgentSaga`."""

from typing import ClassVar, Literal

from pydantic import (
    Field,
    model_validator,
)

from workflows.contract.fields import (
    FirstDefaults,
    Line,
    Metadata,
    Name,
    OperationId,
    Result,
    Signable,
    User,
)


class AgentRequest(Signable):
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


class AgentResult(Result):
    """Result of `AgentSaga`."""

    state: AgentEnd
    agent_id: str
