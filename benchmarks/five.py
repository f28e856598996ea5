"""A saga of five steps, each of them a commit."""

from dataclasses import replace
from typing import Any

from temporalio import workflow

from activities.agents import AgentActivities, ChangeAgent
from activities.authorizations import AuthorizationActivities
from benchmarks import STEPS
from workflows.contract.agent import AgentRequest, AgentResult
from workflows.contract.kinds import PAYMENTS, SagaKind
from workflows.engine.adjacent import Step
from workflows.engine.workflow import SagaWorkflow


@workflow.defn
class FiveSteps(SagaWorkflow[AgentRequest, AgentResult]):
    """Registers five agents, each in a step of its own with its undo on record: the first opens the
    saga, the last closes it."""

    kind = SagaKind(
        name="five",
        workflow="FiveSteps",
        queue=PAYMENTS,
        request=AgentRequest,
        result=AgentResult,
        good_ends=frozenset({"registered"}),
    )
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> AgentResult:
        return await self.carry_out(raw)

    async def story(self, request: AgentRequest) -> AgentResult:
        result = AgentResult(state="registered", agent_id=request.agent_id)
        for number, step in enumerate(_steps(request), 1):
            await self.saga.step(
                *step[:3],
                undo=step.undo,
                ending=result.model_dump(mode="json") if number == STEPS else None,
            )
        return result

    async def _run_steps(self, request: AgentRequest, *, apart: bool) -> AgentResult:
        result = AgentResult(state="registered", agent_id=request.agent_id)
        steps, ending = _steps(request), result.model_dump(mode="json")
        await self.saga.steps(*steps, ending=ending, apart=apart)
        return result

    def subjects(self, request: AgentRequest) -> list[str]:
        return [f"agent/{request.agent_id}"]


@workflow.defn
class FiveApart(FiveSteps):
    """The same five steps and commits, in one activity."""

    kind = replace(FiveSteps.kind, workflow="FiveApart")

    @workflow.run
    async def run(self, *raw: Any) -> AgentResult:
        return await self.carry_out(raw)

    async def story(self, request: AgentRequest) -> AgentResult:
        return await self._run_steps(request, apart=True)


@workflow.defn
class FiveInOne(FiveSteps):
    """The same five steps, in one commit."""

    kind = replace(FiveSteps.kind, workflow="FiveInOne")

    @workflow.run
    async def run(self, *raw: Any) -> AgentResult:
        return await self.carry_out(raw)

    async def story(self, request: AgentRequest) -> AgentResult:
        return await self._run_steps(request, apart=False)


def _steps(request: AgentRequest) -> list[Step]:
    return [
        Step(
            f"step {number}",
            AgentActivities.change_agent,
            ChangeAgent(
                action="register", agent_id=f"{request.agent_id}-{number}", user=request.user
            ),
            # Any: none of these sagas is undone.
            undo=AuthorizationActivities.release_authorization,
        )
        for number in range(1, STEPS + 1)
    ]
