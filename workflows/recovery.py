"""The recovery of an orphaned saga: it is compensated, or past its pivot goes forward."""

from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from activities.errors import OUTSIDE_TRY, invalid_input
from activities.orphans import Declared, Loss, OrphanedSagas, Standing
from ledger.words import code, said, summary_of
from workflows.contract.admission import problems_with, raise_if_refused, read
from workflows.contract.kinds import SagaKind, kind_named
from workflows.contract.sweep import Recovered, RecoveryRequest
from workflows.engine.decisions import SYSTEM
from workflows.engine.inbound import OtherUpdates
from workflows.engine.run import KIND, OUTSIDE_RETRIES, SUBJECTS


def recovery_id(saga_id: str, epoch: int) -> str:
    """The workflow id of the recovery of a saga that was orphaned in this epoch."""
    return f"recovery/{saga_id}/{epoch}"


@workflow.defn
class RecoverySaga(OtherUpdates):
    """Records that a saga is orphaned, which begins its compensation or, past its pivot, lets it go
    forward, and starts the saga's own workflow under its own id with the stored input: that run
    takes the saga over, as any repeat of the request would. Temporal lets only one run have that
    id, so one run carries the saga, and clients find it there."""

    @workflow.run
    async def run(self, *raw: Any) -> Recovered:
        """Validate the input as a `RecoveryRequest` and recover the saga."""
        request, problems = read(raw, RecoveryRequest), problems_with(raw, RecoveryRequest)
        expected = recovery_id(request.saga_id, request.epoch)
        if workflow.info().workflow_id != expected:
            its_id = [("workflow_id", "must be recovery/, the saga, / and the epoch")]
            raise invalid_input(problems or its_id)
        kind = kind_named(request.saga_id)
        if kind is None and problems:
            raise invalid_input(problems)
        if kind is None:
            raise left_open(
                request, "unknown_kind", "no worker of this version knows its kind of saga"
            )
        if not problems:
            workflow.set_current_details(page(request))
        about = SUBJECTS.value_set([] if problems else [f"saga/{request.saga_id}"])
        workflow.upsert_search_attributes([KIND.value_set("recovery"), about])
        declared = await self._declare(request, kind, problems)
        match declared.how:
            case "lost":
                return await self._carry_on(request, kind, declared)
            case "elsewhere":
                raise left_open(request, "elsewhere", "another Temporal carries it")
            case "unknown_undo":
                why = "no worker of this version knows the undo of one of its steps"
                raise left_open(request, "unknown_undo", why)
            case nothing_to_do:
                return Recovered(saga_id=request.saga_id, how=nothing_to_do)

    async def _declare(
        self, request: RecoveryRequest, kind: SagaKind, problems: list[tuple[str, str]]
    ) -> Declared:
        # What is not admitted goes nowhere; a name of an older form may be on record.
        is_named = all(field == "saga_id" for field, _ in problems)
        loss = Loss(
            saga_id=request.saga_id if is_named else "",
            epoch=request.epoch,
            actor=SYSTEM,
            pivot=kind.pivot_step,
            problems=problems,
        )
        if not problems:
            asked = {"actor": request.actor or SYSTEM, "reason": request.reason}
            loss = loss.model_copy(update={**asked, "gone": request.gone})
        # It refuses a request with problems: a replay, by other rules, must not decide anew.
        try:
            return await workflow.execute_activity_method(
                OrphanedSagas.declare_lost_saga,
                loss,
                start_to_close_timeout=OUTSIDE_TRY,
                retry_policy=OUTSIDE_RETRIES,
                summary="look once more, and put it on record",
            )
        except ActivityError as error:
            raise_if_refused(error)
            raise

    async def _carry_on(
        self,
        request: RecoveryRequest,
        kind: SagaKind,
        declared: Declared,
    ) -> Recovered:
        saga_id = request.saga_id
        try:
            run = await workflow.start_child_workflow(
                kind.workflow,
                declared.input,
                id=saga_id,
                task_queue=declared.task_queue,
                # What becomes of us is no matter to the saga.
                parent_close_policy=ParentClosePolicy.ABANDON,
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=summary_of(
                    f"{saga_id}, carried on by {workflow.info().workflow_id}"
                ),
            )
        except WorkflowAlreadyStartedError:
            return Recovered(saga_id=saga_id, how="carried")
        try:
            await run
        except ChildWorkflowError:
            # A saga that ends as failed; or one that was lost again: the ledger knows.
            workflow.logger.info("%s: the run that carried it on has failed", saga_id)
        standing: Standing = await workflow.execute_activity_method(
            OrphanedSagas.read_saga,
            saga_id,
            start_to_close_timeout=OUTSIDE_TRY,
            retry_policy=OUTSIDE_RETRIES,
            summary="read how it ended",
        )
        if standing.result is None:
            raise left_open(request, "still_open", f"it is {standing.state}")
        return Recovered(
            saga_id=saga_id, how="recovered", state=standing.state, result=standing.result
        )


def page(request: RecoveryRequest) -> str:
    """The page of a recovery in the Web UI."""
    by = f", asked for by {code(request.actor)}" if request.actor else ""
    why = f": {said(request.reason)}" if request.reason else ""
    return f"**recovery** of {code(request.saga_id)}, whose run was lost in Temporal{by}{why}"


def left_open(request: RecoveryRequest, word: str, why: str) -> ApplicationError:
    """The failure of a recovery that could not carry the saga on; the next sweep tries again."""
    return ApplicationError(
        f"{request.saga_id} is orphaned and is left open: {why}", type=word, non_retryable=True
    )
