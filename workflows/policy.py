"""The saga that sets the policy of an agent."""

from typing import Any

from temporalio import workflow

from activities.agents import AgentActivities, SetPolicy
from workflows.contract.kinds import POLICY
from workflows.contract.policy import PolicyRequest, PolicyResult
from workflows.engine.workflow import SagaWorkflow


@workflow.defn
class PolicySaga(SagaWorkflow[PolicyRequest, PolicyResult]):
    """Sets the policy of an agent: input `PolicyRequest`, result `PolicyResult`."""

    kind = POLICY
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> PolicyResult:
        """Validate the input as a `PolicyRequest` and run the saga."""
        return await self.carry_out(raw)

    async def story(self, request: PolicyRequest) -> PolicyResult:
        """Set the policy of the agent, in one step."""
        self.saga.refuse_cancel()
        policy = await self.saga.step(
            "set policy",
            AgentActivities.set_policy,
            SetPolicy(
                terms=request.terms(),
                **request.model_dump(include=set(SetPolicy.model_fields) - {"terms"}),
            ),
        )
        self.saga.decided("set")
        return PolicyResult(
            state="set", agent_id=request.agent_id, policy_version=policy.policy_version
        )

    def subjects(self, request: PolicyRequest) -> list[str]:
        """The aggregates that the saga is about: the agent and its policy."""
        return [f"agent/{request.agent_id}", f"policy/{request.agent_id}"]
