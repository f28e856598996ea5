"""A saga of the tests: calls with policies of their own, one by one or all at once."""

import asyncio
from typing import Any, Literal

from pydantic import Field, JsonValue
from temporalio import workflow

from ledger.aggregates.saga_step import UndoPolicy
from ledger.aggregates.step_report import StepReport
from ledger.sagas.saga_log import Compensation
from workflows.contract.fields import Input
from workflows.contract.kinds import PAYMENTS, SagaKind
from workflows.engine.adjacent import Step
from workflows.engine.decisions import system
from workflows.engine.story import Compensate
from workflows.engine.workflow import SagaWorkflow

with workflow.unsafe.imports_passed_through():
    from tests.support.trial_steps import TrialStep, TrialSteps


class TrialRequest(Input):
    """`then_undo`: all that was run is taken back; `adjacent`: nobody is called, and the steps are
    one activity, in one commit or one each."""

    operation_id: str
    actor: str = "user:u-17"
    trial: list[TrialStep]
    at_once: bool = False
    adjacent: Literal["no", "together", "apart"] = "no"
    then_undo: bool = True
    metadata: dict[str, JsonValue] = Field(default_factory=dict)

    def about(self) -> list[str]:
        return [f"trial of {len(self.trial)} steps"]


class TrialResult(Input):
    state: Literal["run", "compensated"]
    residuals: list[str] = Field(default_factory=list)
    steps: list[StepReport] = Field(default_factory=list)


@workflow.defn
class TrialSaga(SagaWorkflow[TrialRequest, TrialResult]):
    kind = SagaKind(
        name="trial",
        workflow="TrialSaga",
        queue=PAYMENTS,
        request=TrialRequest,
        result=TrialResult,
        good_ends=frozenset({"run"}),
    )

    @workflow.run
    async def run(self, *raw: Any) -> TrialResult:
        return await self.carry_out(raw)

    async def story(self, request: TrialRequest) -> TrialResult:
        if request.adjacent != "no":
            await self.saga.steps(
                *(
                    Step(each.name, TrialSteps.note_trial, each, undo=TrialSteps.undo_trial)
                    for each in request.trial
                ),
                apart=request.adjacent == "apart",
            )
        elif request.at_once:
            await asyncio.gather(*(self._run_step(trial_step) for trial_step in request.trial))
        else:
            for trial_step in request.trial:
                await self._run_step(trial_step)
        if request.then_undo:
            raise Compensate("cancelled", system())
        return TrialResult(state="run")

    async def _run_step(self, trial_step: TrialStep) -> None:
        await self.saga.call(
            trial_step.name,
            TrialSteps.run_trial,
            trial_step,
            undo=TrialSteps.undo_trial,
            policy=UndoPolicy(trial_step.undo_tries, trial_step.then),
            tell_within=trial_step.tell_within,
        )

    async def compensated(self, request: TrialRequest, undone: Compensation) -> TrialResult:
        return TrialResult(state="compensated", residuals=undone.residuals, steps=undone.reports)

    def subjects(self, request: TrialRequest) -> list[str]:
        return [trial_step.name for trial_step in request.trial]
