"""Sagas of five steps: ours, each step a commit, and plain workflows, each step nothing at all."""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

from activities.agents import AgentActivities, ChangeAgent
from activities.authorizations import AuthorizationActivities
from workflows.inputs import AgentRequest, AgentResult
from workflows.saga_workflow import SagaWorkflow

STEPS = 5
_SHORT = timedelta(seconds=10)


@workflow.defn
class FiveSteps(SagaWorkflow[AgentRequest, AgentResult]):
    """Registers five agents, each in a step of its own with its undo on record: the first opens the
    saga, the last closes it."""

    kind, request_model, result_model = "five", AgentRequest, AgentResult
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> AgentResult:
        return await self.carry_out(raw)

    async def story(self, request: AgentRequest) -> AgentResult:
        result = AgentResult(state="registered", agent_id=request.agent_id)
        for number in range(1, STEPS + 1):
            await self.saga.step(
                f"step {number}",
                AgentActivities.change_agent,
                ChangeAgent(
                    action="register", agent_id=f"{request.agent_id}-{number}", user=request.user
                ),
                # Any: none of these sagas is undone.
                undo=AuthorizationActivities.release_authorization,
                ending=result.model_dump(mode="json") if number == STEPS else None,
            )
        return result

    def subjects(self, request: AgentRequest) -> list[str]:
        return [f"agent/{request.agent_id}"]


@activity.defn
async def empty() -> None:
    """Do nothing."""


@workflow.defn
class FiveLocal:
    """Five empty local activities."""

    @workflow.run
    async def run(self) -> None:
        for _ in range(STEPS):
            await workflow.execute_local_activity(empty, start_to_close_timeout=_SHORT)


@workflow.defn
class FiveOrdinary:
    """Five empty ordinary activities."""

    @workflow.run
    async def run(self) -> None:
        for _ in range(STEPS):
            await workflow.execute_activity(empty, start_to_close_timeout=_SHORT)
