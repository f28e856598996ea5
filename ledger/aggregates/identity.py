"""The name of an aggregate against the identity that its state claims, as the rule `stamp_row` has
it: else a row under one name could take what is another's."""

from collections.abc import Callable
from typing import Any


def _saga(state: Any) -> str:
    # A run of a schedule has colons in its workflow id, where its operation id has dots.
    claimed, workflow_id = f"{state.kind}/{state.operation_id}", state.workflow_id
    is_its_own = claimed == workflow_id or claimed == workflow_id.replace(":", ".")
    return f"saga/{workflow_id}" if is_its_own else ""


# By aggregate type; plain functions, since `verify` asks for each aggregate.
NAME_OF: dict[str, Callable[[Any], str]] = {
    "saga": _saga,
    "step": lambda state: f"step/{state.saga_id}/{state.name}",
    "authorization": lambda state: f"authorization/{state.authorization_id}",
    "transfer": lambda state: f"transfer/{state.transfer_id}",
    "refund": lambda state: f"refund/{state.refund_id}",
    "agent": lambda state: f"agent/{state.agent_id}",
    "policy": lambda state: f"policy/{state.agent_id}",
    "mandate": lambda state: f"mandate/{state.mandate_id}",
    "key": lambda state: f"key/{state.key_id}",
    "resource": lambda state: f"resource/{state.environment}/{state.name}",
    "statement": lambda state: f"statement/{state.statement_id}",
    "case": lambda state: f"case/{state.case_id}",
}
