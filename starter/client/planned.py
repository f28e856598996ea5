"""Says which operations a change or a rollback carries out, by what its plan was made of.

The planner is imported where a plan is shown: most lists show none.
"""

from collections.abc import Mapping
from typing import Any

from ledger.database import Database
from ledger.read.sagas import results_of_step
from starter.client.endings import changes_in

# The step that reads what a plan is made of.
PLAN_STEP = "plan"

_PLANNED_KINDS = ("change", "rollback")


async def operations_on_record(
    database: Database, sagas: Mapping[str, tuple[str, Mapping[str, Any]]]
) -> dict[str, list[str]]:
    """The planned operations of changes and rollbacks, a line each, by workflow id. `sagas`: kind
    and recorded request by workflow id. A saga that has no plan yet is left out."""
    asked = [saga_id for saga_id, (kind, _) in sagas.items() if kind in _PLANNED_KINDS]
    found = await results_of_step(database, asked, PLAN_STEP) if asked else {}
    return {saga_id: operations_of(*sagas[saga_id], seen) for saga_id, seen in found.items()}


def operations_of(
    kind: str,
    request: Mapping[str, Any],
    seen: Mapping[str, Any] | None,
    result: Mapping[str, Any] | None = None,
) -> list[str]:
    """The operations of a saga from its recorded request and from what its plan step saw; nothing
    where they can't be told, as those of a provider that is not installed here: what shows them
    shows the request instead. Of one that was carried out, its `result` lists them."""
    if seen is None or kind not in _PLANNED_KINDS:
        return []
    if result is not None and result.get("state") == "applied":
        done = changes_in(result)
        return [f"{each['action']} {each['name']} ({each['kind']})" for each in done]
    from workflows.planning.recorded_plan import recorded_plan

    try:
        planned = recorded_plan(kind, request, seen)
    except Exception:  # noqa: BLE001 - what another version or installation wrote
        return []
    return [operation.line for operation in planned.to_do]
