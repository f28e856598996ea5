"""Plans a change or a rollback anew from what its saga has on record: the same plan, since the
planner is one pure function."""

from collections.abc import Mapping
from typing import Any

from activities.resource_change import KnownResources, PastResources
from ledger.reading import read
from workflows.contract.change import ChangeRequest, RollbackRequest
from workflows.planning.plan import Plan
from workflows.planning.planner import plan
from workflows.planning.rollback_planner import plan_rollback
from workflows.planning.validation import as_admitted


def recorded_plan(kind: str, request: Mapping[str, Any], seen: Mapping[str, Any]) -> Plan:
    """The plan of a saga of the kind `change` or `rollback`, from its recorded request and from the
    recorded result of its step `plan`.

    Raises ProviderNotLoaded, and ValidationError for what has another structure.
    """
    if kind == "rollback":
        return plan_rollback(read(RollbackRequest, request), read(PastResources, seen)).plan
    change = as_admitted(read(ChangeRequest, request))
    return plan(change, read(KnownResources, seen).resources)
