"""The sagas that compare a bank's statement with the transfers, and that close a case."""

from datetime import timedelta
from typing import Any

from temporalio import workflow

from activities.cases import CaseActivities, CloseCase
from activities.reconciliation import Reconcile, ReconciliationActivities
from workflows.contract.kinds import CASE, RECONCILE
from workflows.contract.reconcile import (
    CaseRequest,
    CaseResult,
    ReconcileRequest,
    ReconcileResult,
)
from workflows.engine.workflow import SagaWorkflow

# A million entries take two minutes on a slow machine.
COMPARE_WITHIN = timedelta(minutes=30)


@workflow.defn
class ReconcileSaga(SagaWorkflow[ReconcileRequest, ReconcileResult]):
    """Compares a statement with the transfers: input `ReconcileRequest`, result
    `ReconcileResult`."""

    kind = RECONCILE

    @workflow.run
    async def run(self, *raw: Any) -> ReconcileResult:
        """Validate the input as a `ReconcileRequest` and run the saga."""
        return await self.carry_out(raw)

    async def story(self, request: ReconcileRequest) -> ReconcileResult:
        """Compare, open a case for each difference, and record the statement, in one step."""
        self.saga.refuse_cancel()
        given = request.model_dump(mode="json", include=set(Reconcile.model_fields))
        found = await self.saga.long_step(
            "compare statement",
            ReconciliationActivities.compare_statement,
            Reconcile(**given),
            within=COMPARE_WITHIN,
        )
        self.saga.decided(found.state, found.reason)
        return ReconcileResult(**found.model_dump())

    def subjects(self, request: ReconcileRequest) -> list[str]:
        """What the saga is about: no aggregate that is known before."""
        return []


@workflow.defn
class CaseSaga(SagaWorkflow[CaseRequest, CaseResult]):
    """Closes a case: input `CaseRequest`, result `CaseResult`."""

    kind = CASE
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> CaseResult:
        """Validate the input as a `CaseRequest` and run the saga."""
        return await self.carry_out(raw)

    async def story(self, request: CaseRequest) -> CaseResult:
        """Close the case, in one step."""
        self.saga.refuse_cancel()
        result = CaseResult(state="closed", case_id=request.case_id)
        await self.saga.step(
            "close case",
            CaseActivities.close_case,
            CloseCase(case_id=request.case_id, evidence=request.evidence),
            ending=result.model_dump(mode="json"),
        )
        self.saga.decided("closed")
        return result

    def subjects(self, request: CaseRequest) -> list[str]:
        """The aggregate that the saga is about: the case."""
        return [f"case/{request.case_id}"]
