"""The name of an aggregate against the identity that its state claims, as the rule `stamp_row` has
it: else a row under one name could take what is another's."""

from typing import Any

from ledger.aggregates.aggregate import State

# The columns that make the name, after the aggregate type.
NAMED_BY = {
    "saga": ("workflow_id",),
    "step": ("saga_id", "name"),
    "authorization": ("authorization_id",),
    "transfer": ("transfer_id",),
    "agent": ("agent_id",),
    "policy": ("agent_id",),
    "resource": ("environment", "name"),
}


def claims_another(aggregate: str, state: State) -> bool:
    """Whether the state claims another identity than that of the aggregate's name."""
    aggregate_type = aggregate.split("/", 1)[0]
    told: dict[str, Any] = vars(state)
    name = "/".join((aggregate_type, *(told[column] for column in NAMED_BY[aggregate_type])))
    if aggregate_type == "saga":
        # A run of a schedule has colons in its workflow id, where its operation id has dots.
        claimed = f"{told['kind']}/{told['operation_id']}"
        return name != aggregate or told["workflow_id"].replace(":", ".") != claimed
    return name != aggregate
