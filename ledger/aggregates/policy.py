"""The aggregate type `policy`: what an agent may spend, and from which amount on a person
approves."""

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent
from ledger.aggregates.columns import Column, state_columns


class PolicySet(Event):
    """A policy was set; it is in force for the next request. Amounts in minor units of `currency`;
    equal is allowed."""

    agent_id: str
    currency: str
    max_per_transaction_minor: int
    daily_limit_minor: int
    approval_threshold_minor: int
    time_zone: str


class PolicyState(State):
    """The state of a policy, as a row of `ledger.policies`."""

    agent_id: str
    currency: str
    max_per_transaction_minor: int
    daily_limit_minor: int
    approval_threshold_minor: int
    time_zone: str


def evolve(state: PolicyState | None, event: Event) -> PolicyState:
    """Folds one event into the state of a policy. Raises UnknownEvent."""
    if isinstance(event, PolicySet):
        return PolicyState(**event.fields())
    raise UnknownEvent(f"{type(event).__name__} does not fit the state of a policy")


POLICY = AggregateType(
    name="policy",
    columns=state_columns(
        "policies",
        Column("agent_id", "text", nullable=False),
        Column("currency", "text", nullable=False),
        Column("max_per_transaction_minor", "bigint", nullable=False),
        Column("daily_limit_minor", "bigint", nullable=False),
        Column("approval_threshold_minor", "bigint", nullable=False),
        Column("time_zone", "text", nullable=False),
    ),
    state=PolicyState,
    events=(PolicySet,),
    evolve=evolve,
)


def policy_name(agent_id: str) -> str:
    """The aggregate name of an agent's policy: `policy/expense-bot`."""
    return f"policy/{agent_id}"
