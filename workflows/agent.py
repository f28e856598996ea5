"""The saga that registers or revokes an agent."""

from typing import Any

from temporalio import workflow

from activities.agents import AgentActivities, ChangeAgent
from workflows.contract.agent import AgentEnd, AgentRequest, AgentResult
from workflows.contract.kinds import AGENT
from workflows.engine.workflow import SagaWorkflow


@workflow.defn
class AgentSaga(SagaWorkflow[AgentRequest, AgentResult]):
    """Registers or revokes an agent: input `AgentRequest`, result `AgentResult`."""

    kind = AGENT
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> AgentResult:
        """Validate the input as an `AgentRequest` and run the saga."""
        return await self.carry_out(raw)

    async def story(self, request: AgentRequest) -> AgentResult:
        """Register or revoke the agent, in one step that a compensation undoes."""
        self.saga.refuse_cancel()
        state: AgentEnd = "registered" if request.action == "register" else "revoked"
        result = AgentResult(state=state, agent_id=request.agent_id)
        await self.saga.step(
            f"{request.action} agent",
            AgentActivities.change_agent,
            ChangeAgent(**request.model_dump(include={"action", "agent_id", "user", "reason"})),
            ending=result.model_dump(mode="json"),
        )
        self.saga.decided(state)
        return result

    def subjects(self, request: AgentRequest) -> list[str]:
        """The aggregate that the saga is about: the agent."""
        return [f"agent/{request.agent_id}"]
