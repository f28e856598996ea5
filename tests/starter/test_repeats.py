"""A repeat of a saga that has ended is answered from the record, and the page of the saga stays."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from temporalio.client import WithStartWorkflowOperation, WorkflowExecution, WorkflowExecutionStatus
from temporalio.client import WorkflowUpdateFailedError as UpdateFailed
from temporalio.common import WorkflowIDConflictPolicy

from starter import Amends
from starter.client.errors import OperationIdReused
from tests.starter.conftest import QUEUES
from tests.support.until import until
from workflows.contract.payment import PaymentRequest

COMPLETED, FAILED = WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.FAILED


@pytest.fixture
async def paid(
    amends: Amends, payment: Callable[..., dict[str, Any]]
) -> AsyncIterator[PaymentRequest]:
    """A payment that was captured."""
    request = PaymentRequest.model_validate(payment(45_000))
    saga_id = (await amends.submit(request)).saga_id
    captured = await amends.result(saga_id)
    yield request
    # Whoever asked for it again, it is as it was.
    assert await amends.result(saga_id) == captured
    assert (await amends.progress(saga_id)).result == captured.model_dump(mode="json")


async def newest(amends: Amends, workflow_id: str) -> tuple[WorkflowExecutionStatus | None, Any]:
    """The status and the saga state of the newest run under this id."""
    run = await amends.client.get_workflow_handle(workflow_id).describe()
    return run.status, run.search_attributes.get("SagaState")


async def runs_of_repeats(amends: Amends, saga_id: str) -> list[WorkflowExecution]:
    named = f'WorkflowId STARTS_WITH "repeat/{saga_id}/"'
    return [run async for run in amends.client.list_workflows(named)]


async def test_a_repeat_is_answered_by_a_run_of_its_own(
    amends: Amends, paid: PaymentRequest
) -> None:
    saga_id = f"payment/{paid.operation_id}"
    again = await amends.submit(paid)
    assert (again.saga_id, again.repeated, again.state) == (saga_id, True, "completed")
    with pytest.raises(OperationIdReused):
        await amends.submit(paid.model_copy(update={"description": "another"}))

    async def both_are_listed() -> bool:
        return len(await runs_of_repeats(amends, saga_id)) == 2

    await until(both_are_listed)
    runs = await runs_of_repeats(amends, saga_id)
    assert {run.status for run in runs} == {COMPLETED, FAILED}
    assert await newest(amends, saga_id) == (COMPLETED, ["completed"])
    for run in runs:
        assert await newest(amends, run.id) == (run.status, ["repeated"])


async def test_a_refused_repeat_of_another_client_under_the_id_itself_hides_nothing(
    amends: Amends, paid: PaymentRequest
) -> None:
    saga_id = f"payment/{paid.operation_id}"
    other = paid.model_dump(mode="json") | {"description": "another"}
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "PaymentSaga",
        other,
        id=saga_id,
        task_queue=QUEUES["AMENDS_PAYMENTS_QUEUE"],
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    with pytest.raises(UpdateFailed):
        await amends.client.execute_update_with_start_workflow(
            "submit", other, start_workflow_operation=start
        )
    assert await newest(amends, saga_id) == (FAILED, ["repeated"])
    progress = await amends.progress(saga_id)
    assert (progress.state, progress.repeated) == ("completed", True)
    # The SDK finds no page of a good saga, and starts a run there that ends well.
    assert (await amends.submit(paid)).repeated
    assert await newest(amends, saga_id) == (COMPLETED, ["repeated"])
