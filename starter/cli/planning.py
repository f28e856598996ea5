"""Plans as the sagas make them, fed by the ledger's readers."""

from contextlib import suppress

from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read.environments import Target, resources, resources_at
from ledger.read.global_order import reaches
from ledger.read.point_in_time import PATIENCE_S
from starter.client.errors import InvalidInput
from workflows.contract.change import ChangeRequest, RollbackRequest
from workflows.planning.plan import Plan
from workflows.planning.planner import names_of, plan
from workflows.planning.rollback_planner import plan_rollback
from workflows.planning.validation import problems_in


def check_change(request: ChangeRequest) -> None:
    """Raises InvalidInput for what is wrong with a change whatever the ledger knows."""
    problems = problems_in(request)
    if problems:
        (field, reason), *others = problems
        raise InvalidInput(field, reason, *others)


def check_rollback(request: RollbackRequest) -> None:
    """Raises InvalidInput for a point that is none, such as a 30th of February."""
    try:
        Target.parse(request.to)
    except ValueError as error:
        raise InvalidInput("to", str(error)) from None


async def check_point(database: Database, request: RollbackRequest) -> None:
    """Raises InvalidInput for a position beyond the log, and the ledger's NotFound for a change
    that it does not know in this environment. One that has not ended may have ended later."""
    target = Target.parse(request.to)
    if target.position is not None:
        if not await reaches(database, target.position):
            raise InvalidInput("to", "lies beyond the end of the log")
    elif target.before_saga is not None:
        with suppress(StateRefused):
            await resources_at(database, request.environment, request.to, request.resources)


async def change_plan(database: Database, request: ChangeRequest) -> Plan:
    """What a checked change would do now."""
    known = await resources(database, request.environment, names_of(request))
    return plan(request, {resource.name: resource for resource in known})


async def rollback_plan(database: Database, request: RollbackRequest) -> Plan:
    """What a checked rollback would do now. Raises the ledger's NotFound, StateRefused and
    StillOpen."""
    rewound = await resources_at(
        database, request.environment, request.to, request.resources, patience_s=PATIENCE_S
    )
    return plan_rollback(request, rewound).plan
