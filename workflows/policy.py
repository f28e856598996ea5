"""Set what an agent may spend."""

from typing import Any

from temporalio import workflow

from activities.agents import AgentActivities, SetPolicy
from workflows.contract.agent import PolicyRequest, PolicyResult
from workflows.contract.kinds import POLICY
from workflows.engine.workflow import SagaWorkflow


@workflow.defn
class PolicySaga(SagaWorkflow[PolicyRequest, PolicyResult]):
    """See contract: input `PolicyRequest`, result `PolicyResult`."""

    kind = POLICY
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> PolicyResult:
        """The workflow: admit the input and carry it out."""
        return await self.carry_out(raw)

    async def story(self, request: PolicyRequest) -> PolicyResult:
        """What the saga does, step by step."""
        self.saga.refuse_cancel()
        policy = await self.saga.step(
            "set policy",
            AgentActivities.set_policy,
            SetPolicy(**request.model_dump(include=set(SetPolicy.model_fields))),
        )
        self.saga.decided("set")
        return PolicyResult(
            state="set", agent_id=request.agent_id, policy_version=policy.policy_version
        )

    def subjects(self, request: PolicyRequest) -> list[str]:
        """The aggregates that the saga is about."""
        return [f"agent/{request.agent_id}", f"policy/{request.agent_id}"]
