"""A change of an environment: some resources shall be present, others absent."""

from collections.abc import Mapping
from typing import Any

from temporalio import workflow

from activities.errors import invalid_input
from activities.resource_change import ReadResources
from activities.resources import ResourceActivities
from ledger.aggregates.resource import resource_name
from workflows.change_story import ChangeStory
from workflows.contract.change import ChangeRequest, ChangeResult
from workflows.contract.kinds import CHANGE
from workflows.planning.plan import Plan
from workflows.planning.planner import names_of, plan
from workflows.planning.validation import problems_in


@workflow.defn
class InfrastructureSaga(ChangeStory[ChangeRequest]):
    """See contract: input `ChangeRequest`, result `ChangeResult`."""

    kind = CHANGE

    @workflow.run
    async def run(self, *raw: Any) -> ChangeResult:
        """The workflow: admit the input and carry it out."""
        return await self.carry_out(raw)

    def admitted(self, raw: tuple[Any, ...]) -> ChangeRequest:
        """The input as a request of this saga. Raises `InvalidInput`."""
        request = super().admitted(raw)
        problems = problems_in(request)
        if problems:
            raise invalid_input(problems)
        return request

    async def planned(self, request: ChangeRequest) -> tuple[Plan, Mapping[str, str]]:
        """The plan of the change, against what the ledger knows now."""
        found = await self.saga.step(
            "plan",
            ResourceActivities.read_resources,
            ReadResources(environment=request.environment, names=sorted(names_of(request))),
        )
        known = {resource.name: resource for resource in found.resources}
        return plan(request, known), {}

    def subjects(self, request: ChangeRequest) -> list[str]:
        """The aggregates that the saga is about."""
        names = [*(resource.name for resource in request.present), *request.absent]
        return [resource_name(request.environment, name) for name in names]
