"""The saga of a rollback: brings an environment back to a point of the log by a planned change."""

from collections.abc import Mapping
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.errors import REFUSED, invalid_input
from activities.resource_change import ReadPast
from activities.resources import ResourceActivities
from ledger.aggregates.resource import resource_name
from ledger.read.environments import Target
from workflows.change_story import ChangeStory
from workflows.contract.change import ChangeResult, RollbackRequest
from workflows.contract.kinds import ROLLBACK
from workflows.engine.run import cause_of
from workflows.planning.plan import Plan, Refusal
from workflows.planning.rollback_planner import plan_rollback


@workflow.defn
class RollbackSaga(ChangeStory[RollbackRequest]):
    """Plans and applies a rollback: input `RollbackRequest`, result `ChangeResult`."""

    kind = ROLLBACK

    @workflow.run
    async def run(self, *raw: Any) -> ChangeResult:
        """Validate the input as a `RollbackRequest` and run the saga."""
        return await self.carry_out(raw)

    def admitted(self, raw: tuple[Any, ...]) -> RollbackRequest:
        """The input as a request of this saga. Raises `InvalidInput`."""
        request = super().admitted(raw)
        try:
            Target.parse(request.to)
        except ValueError as error:
            raise invalid_input([("to", str(error))]) from None
        return request

    async def planned(self, request: RollbackRequest) -> tuple[Plan, Mapping[str, str]]:
        """Plan the way back to a point of the log; returns the plan and the changes that it
        reverses."""
        past = ReadPast(environment=request.environment, to=request.to, names=request.resources)
        try:
            rewound = await self.saga.step("plan", ResourceActivities.read_past, past)
        except ActivityError as error:
            return _refused(request, error), {}
        reversal = plan_rollback(self.as_admitted(request), rewound)
        return reversal.plan, reversal.undoes

    def subjects(self, request: RollbackRequest) -> list[str]:
        """The aggregates that the saga is about: the named resources, or the environment and the
        point."""
        if request.resources:
            return [resource_name(request.environment, name) for name in request.resources]
        return [f"environment/{request.environment}", f"to/{request.to}"]


def _refused(request: RollbackRequest, error: ActivityError) -> Plan:
    """The plan of a rollback whose point is refused."""
    cause = error.cause
    if not isinstance(cause, ApplicationError) or cause.type != REFUSED:
        raise error
    refusal = Refusal.model_validate(
        {"reason": cause_of(error), "resource": "", "sentence": cause.message}
    )
    return Plan(environment=request.environment, operations=[], refusals=[refusal])
