"""Validates changes and rollbacks for the command line, and plans rollbacks."""

from contextlib import suppress

from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read.environments import Target, resources_at
from ledger.read.global_order import reaches
from ledger.read.points import PATIENCE_S
from starter.client.errors import BadRequest, InvalidInput
from workflows.contract.change import ChangeRequest, RollbackRequest
from workflows.planning.plan import Plan
from workflows.planning.rollback_planner import plan_rollback
from workflows.planning.validation import InvalidChange, ProviderNotLoaded, ValidChange, validated


def valid_change(request: ChangeRequest) -> ValidChange:
    """The change, checked by itself. Raises InvalidInput."""
    try:
        return validated(request)
    except InvalidChange as error:
        (field, reason), *others = error.problems
        raise InvalidInput(field, reason, *others) from None
    except ProviderNotLoaded as error:
        raise BadRequest(str(error)) from error


def check_rollback(request: RollbackRequest) -> None:
    """Raises InvalidInput for a point that does not exist, such as a 30th of February."""
    try:
        Target.parse(request.to)
    except ValueError as error:
        raise InvalidInput("to", str(error)) from None


async def check_point(database: Database, request: RollbackRequest) -> None:
    """Raises InvalidInput for a position beyond the log, and the ledger's NotFound for a change
    that is not in this environment. A change that has not ended may have ended later."""
    target = Target.parse(request.to)
    if target.position is not None:
        if not await reaches(database, target.position):
            raise InvalidInput("to", "lies beyond the end of the log")
    elif target.before_saga is not None:
        with suppress(StateRefused):
            await resources_at(database, request.environment, request.to, request.resources)


async def rollback_plan(database: Database, request: RollbackRequest) -> Plan:
    """Plan a checked rollback as of now. Raises the ledger's NotFound, StateRefused and
    StillOpen."""
    rewound = await resources_at(
        database, request.environment, request.to, request.resources, patience_s=PATIENCE_S
    )
    try:
        return plan_rollback(request, rewound).plan
    except ProviderNotLoaded as error:
        raise BadRequest(str(error)) from error
