"""Starts by a client of another language that are malformed or misdirected: each ends at once, with
a failure that any client decodes, and nothing was done."""

import json

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.foreign.foreign import Foreign, ForeignFailure
from tests.foreign.malformed import CANARY, Case, every_case
from tests.support.probe import Probe

# The limit of the client, and not a measure.
WITHIN_S = 2.0
CASES = every_case()
FAILED_TASKS = (
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
)


def test_there_are_120_cases() -> None:
    assert len(CASES) >= 120


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.type} {case.what}")
async def test_a_malformed_start_ends_at_once_and_does_nothing(
    foreign: Foreign, client: Client, probe: Probe, case: Case
) -> None:
    before = await probe.size()
    for failure in await _failures(foreign, case):
        assert failure.leaks() == []
        assert (failure.type, failure.told["retryable"]) == (case.failure, False)
        if case.failure == "InvalidInput":
            assert any(name.startswith(case.names) for name in failure.fields)
        assert [word for word in case.told_in_start if word not in failure.message] == []
        assert CANARY not in json.dumps(failure.told).replace(case.workflow_id, "")
    assert await probe.size() == before
    await _assert_nothing_was_retried(client, case.workflow_id)


async def _failures(foreign: Foreign, case: Case) -> list[ForeignFailure]:
    """The failures that a client sees: of the update, where one came with the start, and of the
    run."""
    start = {"type": case.type, "task_queue": case.queue, "arguments": case.arguments}
    if case.update is None:
        return [await _failure(foreign, "run", case, **start)]
    name, arguments = case.update
    update = {"name": name, "update_arguments": arguments}
    told = await _failure(foreign, "submit", case, **start, **update)
    return [told, await _failure(foreign, "result", case)]


async def _failure(foreign: Foreign, call: str, case: Case, **more: object) -> ForeignFailure:
    with pytest.raises(ForeignFailure) as failed:
        await foreign.call(call, case.workflow_id, within_s=WITHIN_S, **more)
    return failed.value


async def _assert_nothing_was_retried(client: Client, workflow_id: str) -> None:
    handle = client.get_workflow_handle(workflow_id)
    first, *others = (await handle.fetch_history()).events
    started = first.workflow_execution_started_event_attributes
    run_id = (await handle.describe()).run_id
    assert (started.attempt, started.first_execution_run_id) == (1, run_id)
    assert [event.event_type for event in others if event.event_type in FAILED_TASKS] == []
    after_start = [
        event
        for event in others
        if not event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    text = CANARY.encode()
    assert [event for event in after_start if text in event.SerializeToString()] == []
