"""A saga of the explorer: its three steps follow each other, and none calls an external system."""

from typing import Any, Literal

from pydantic import Field, JsonValue
from temporalio import workflow

from ledger.aggregates.step_report import StepReport
from ledger.sagas.saga_log import Compensation
from workflows.contract.fields import Input, Result
from workflows.contract.kinds import PAYMENTS, SagaKind
from workflows.engine.adjacent import Step
from workflows.engine.workflow import SagaWorkflow

with workflow.unsafe.imports_passed_through():
    from tests.crash.registrations import Registration, Registrations

NAMES = ("a", "b", "c")


class AdjacentRequest(Input):
    """`agents`: one for each step; `apart`: in a commit each."""

    operation_id: str
    actor: str = "user:u-17"
    agents: list[Registration]
    apart: bool
    metadata: dict[str, JsonValue] = Field(default_factory=dict)

    def about(self) -> list[str]:
        return [f"{len(self.agents)} agents"]


class AdjacentResult(Result):
    state: Literal["registered", "compensated"]
    steps: list[StepReport] = Field(default_factory=list)


@workflow.defn
class AdjacentSaga(SagaWorkflow[AdjacentRequest, AdjacentResult]):
    kind = SagaKind(
        name="adjacent",
        workflow="AdjacentSaga",
        queue=PAYMENTS,
        request=AdjacentRequest,
        result=AdjacentResult,
        good_ends=frozenset({"registered"}),
    )
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> AdjacentResult:
        return await self.carry_out(raw)

    async def story(self, request: AdjacentRequest) -> AdjacentResult:
        result = AdjacentResult(state="registered")
        await self.saga.steps(
            *(
                Step(name, Registrations.register, agent, undo=Registrations.unregister)
                for name, agent in zip(NAMES, request.agents, strict=True)
            ),
            ending=result.model_dump(mode="json"),
            apart=request.apart,
        )
        return result

    async def compensated(self, request: AdjacentRequest, undone: Compensation) -> AdjacentResult:
        return AdjacentResult(state="compensated", steps=undone.reports)

    def subjects(self, request: AdjacentRequest) -> list[str]:
        return [f"agent/{agent.agent_id}" for agent in request.agents]
