"""The saga of a change: some resources of an environment shall be present, others absent."""

from collections.abc import Mapping
from typing import Any

from temporalio import workflow

from activities.errors import invalid_input
from activities.providers.kinds import known_kinds
from activities.resource_change import ReadResources
from activities.resources import ResourceActivities
from ledger.aggregates.resource import resource_name
from workflows.change_story import ChangeStory
from workflows.contract.change import ChangeRequest, ChangeResult
from workflows.contract.kinds import CHANGE
from workflows.planning.plan import Plan
from workflows.planning.planner import in_full, plan
from workflows.planning.validation import InvalidChange, as_admitted, validated


@workflow.defn
class InfrastructureSaga(ChangeStory[ChangeRequest]):
    """Plans and applies a change of an environment: input `ChangeRequest`, result
    `ChangeResult`."""

    kind = CHANGE

    @workflow.run
    async def run(self, *raw: Any) -> ChangeResult:
        """Validate the input as a `ChangeRequest` and run the saga."""
        return await self.carry_out(raw)

    def admitted(self, raw: tuple[Any, ...]) -> ChangeRequest:
        """The input as a request of this saga. Raises `InvalidInput`."""
        request = super().admitted(raw)
        try:
            validated(request)
        except InvalidChange as error:
            raise invalid_input(error.problems) from None
        return request

    def in_full(self, request: ChangeRequest) -> ChangeRequest:
        """The request with the defaults of the kinds of its resources."""
        return in_full(request, known_kinds())

    async def planned(self, request: ChangeRequest) -> tuple[Plan, Mapping[str, str]]:
        """Plan the change against the recorded state of its environment."""
        change = as_admitted(self.in_full(request))
        found = await self.saga.step(
            "plan",
            ResourceActivities.read_resources,
            ReadResources(environment=request.environment, names=sorted(change.names)),
        )
        change = as_admitted(self.as_admitted(request))
        return plan(change, found.resources), {}

    def subjects(self, request: ChangeRequest) -> list[str]:
        """The aggregates that the saga is about: the resources that the request names."""
        names = [*(resource.name for resource in request.present), *request.absent]
        return [resource_name(request.environment, name) for name in names]
