"""An agent: a program that may ask for payments on behalf of a user."""

from typing import Literal

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent
from ledger.aggregates.columns import Column, state_columns


class AgentRegistered(Event):
    """A user registered an agent, or registered a revoked one again; the policy says what the agent
    may spend."""

    agent_id: str
    user: str


class AgentRevoked(Event):
    """An agent was revoked: its requests are denied and its authorizations can't be captured."""

    reason: str | None = None


class AgentState(State):
    """The state of an agent, as a row of `ledger.agents`."""

    agent_id: str
    user: str
    state: Literal["active", "revoked"]


def evolve(state: AgentState | None, event: Event) -> AgentState:
    """Folds one event into the state of an agent. Raises UnknownEvent."""
    match state, event:
        case None, AgentRegistered():
            return AgentState(state="active", **event.fields())
        case AgentState(), AgentRegistered():
            return state.changed(state="active", user=event.user)
        case AgentState(), AgentRevoked():
            return state.changed(state="revoked")
        case _:
            raise UnknownEvent(
                f"{type(event).__name__} does not fit the state of the agent: run amends verify"
            )


AGENT = AggregateType(
    name="agent",
    columns=state_columns(
        "agents",
        Column("agent_id", "text", nullable=False),
        Column("user", "text", nullable=False),
        Column("state", "text", nullable=False),
    ),
    state=AgentState,
    events=(AgentRegistered, AgentRevoked),
    evolve=evolve,
)


def agent_name(agent_id: str) -> str:
    """The aggregate name of an agent: `agent/expense-bot`."""
    return f"agent/{agent_id}"
