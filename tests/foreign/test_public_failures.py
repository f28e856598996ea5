"""What leaves a workflow as a failure can be decoded by every SDK: no cause, no trace of ours."""

from collections.abc import AsyncIterator, Iterator

from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from tests.support.driver import Driver, Handle, payment, registration
from tests.support.probe import Probe
from tests.support.public_failures import leaks_of
from workflows.contract.kinds import INFRASTRUCTURE, PAYMENTS, SWEEPS

QUEUES = ", ".join(f"'{queue.default}'" for queue in (PAYMENTS, INFRASTRUCTURE, SWEEPS))


def failures_of(event: HistoryEvent) -> Iterator[Failure]:
    """The failures that an event hands to a client."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        yield event.workflow_execution_failed_event_attributes.failure
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
        outcome = event.workflow_execution_update_completed_event_attributes.outcome
        if outcome.HasField("failure"):
            yield outcome.failure


async def every_failure(client: Client, *handles: Handle) -> AsyncIterator[Failure]:
    """All failures in the histories of our queues; those of `handles` too
    where the list, which lags a little, does not have them yet."""
    listed = client.list_workflows(f"TaskQueue IN ({QUEUES})")
    runs = {(run.id, run.run_id) async for run in listed}
    runs |= {(handle.id, handle.result_run_id or "") for handle in handles}
    for workflow_id, run_id in runs:
        handle = client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            history = await handle.fetch_history()
        except RPCError:
            continue  # deleted by a test
        for event in history.events:
            for failure in failures_of(event):
                yield failure


async def test_no_failure_of_a_workflow_or_an_update_has_a_cause_or_a_trace(
    driver: Driver, client: Client, probe: Probe, agent: str
) -> None:
    known, waits = payment(agent, 100), payment(agent, 55_000)
    await driver.run(known)
    reused = {**known, "description": "another"}
    await driver.submit(waits)
    handles = {
        "InvalidInput": await driver.start(payment(agent, 0)),
        "operation_id_reused": await driver.start(reused),
        "unknown_agent": await driver.start(registration("nobody-knows", "revoke")),
        "unknown_kind": await client.start_workflow(
            "RecoverySaga",
            {"saga_id": "invoice/a", "epoch": 1},
            id="recovery/invoice/a/1",
            task_queue=SWEEPS.default,
        ),
    }
    for failure_type, handle in handles.items():
        assert (await driver.failure(handle)).type == failure_type
    other = {**waits, "description": "another"}
    assert (await driver.refusal(waits, "submit", other)).type == "operation_id_reused"
    await driver.tell(waits, "reject")
    await driver.result(waits)
    found = [failure async for failure in every_failure(client, *handles.values())]
    assert set(handles) <= {failure.application_failure_info.type for failure in found}
    assert [failure for failure in found if leaks_of(failure)] == []
