"""A saga of the tests' own: errands with policies of their own, one by one or all at once."""

import asyncio
from typing import Any, Literal

from pydantic import Field, JsonValue
from temporalio import workflow

from ledger.aggregates.saga_step import StepReport, UndoPolicy
from ledger.sagas.saga_log import Compensation
from workflows.contract.fields import Input
from workflows.contract.kinds import PAYMENTS, SagaKind
from workflows.engine.decisions import system
from workflows.engine.story import Compensate
from workflows.engine.workflow import SagaWorkflow

with workflow.unsafe.imports_passed_through():
    from tests.sagas.desk import Desk, Errand


class ErrandsRequest(Input):
    """`then_undo`: all that was run is taken back."""

    operation_id: str
    actor: str = "user:u-17"
    errands: list[Errand]
    at_once: bool = False
    then_undo: bool = True
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class ErrandsResult(Input):
    state: Literal["run", "compensated"]
    residuals: list[str] = Field(default_factory=list)
    steps: list[StepReport] = Field(default_factory=list)


@workflow.defn
class ErrandSaga(SagaWorkflow[ErrandsRequest, ErrandsResult]):
    kind = SagaKind(
        name="errands",
        workflow="ErrandSaga",
        queue=PAYMENTS,
        request=ErrandsRequest,
        result=ErrandsResult,
        good_ends=frozenset({"run"}),
    )

    @workflow.run
    async def run(self, *raw: Any) -> ErrandsResult:
        return await self.carry_out(raw)

    async def story(self, request: ErrandsRequest) -> ErrandsResult:
        if request.at_once:
            await asyncio.gather(*(self._run_errand(errand) for errand in request.errands))
        else:
            for errand in request.errands:
                await self._run_errand(errand)
        if request.then_undo:
            raise Compensate("cancelled", system())
        return ErrandsResult(state="run")

    async def _run_errand(self, errand: Errand) -> None:
        await self.saga.call(
            errand.name,
            Desk.run_errand,
            errand,
            undo=Desk.take_errand_back,
            policy=UndoPolicy(errand.undo_tries, errand.then),
            tell_within=errand.tell_within,
        )

    async def compensated(self, request: ErrandsRequest, undone: Compensation) -> ErrandsResult:
        return ErrandsResult(state="compensated", residuals=undone.residuals, steps=undone.reports)

    def subjects(self, request: ErrandsRequest) -> list[str]:
        return [errand.name for errand in request.errands]
