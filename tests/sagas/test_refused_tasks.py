"""A cancel that hits the workflow task which carries committed steps: the server refuses the task,
the replayed workflow knows of no step, and the ledger says what to undo, or that it is too late."""

from collections.abc import AsyncIterator

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client

from activities.authorizations import AuthorizationActivities
from activities.saga_records import SagaActivities
from ledger.database import open_database
from tests.sagas.cancellation import Stops
from tests.sagas.conftest import Place
from tests.sagas.two_steps import TwoSteps, TwoStepsOpenedAlone
from tests.support.driver import Driver, Handle, Json, new_id, payment, registration, saga_of
from tests.support.probe import Probe
from tests.support.until import until
from worker.settings import needed
from worker.wiring import worker

CANCEL = EventType.Value("EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
MARKER = EventType.Value("EVENT_TYPE_MARKER_RECORDED")
FAILED = EventType.Value("EVENT_TYPE_WORKFLOW_TASK_FAILED")
UNHANDLED = WorkflowTaskFailedCause.Value("WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND")


async def cancel_in_its_commit(
    driver: Driver, stops: Stops, workflow: str, request: Json, event: str
) -> Handle:
    """Start a saga, and cancel it while its task stands still before it writes this event."""
    saga = saga_of(request)
    await stops.standstill.hold(saga, event)
    handle = await driver.start_raw(workflow, [request], id=saga)
    await until(lambda: stops.standstill.is_reached(saga, event))
    await handle.cancel()
    await stops.standstill.release(saga, event)
    return handle


async def was_refused(handle: Handle, markers: int) -> None:
    """The server refused the task, and the replayed workflow was cancelled knowing only so many
    of its steps."""
    events = (await handle.fetch_history()).events
    types = [event.event_type for event in events]
    [refused] = [event for event in events if event.event_type == FAILED]
    assert refused.workflow_task_failed_event_attributes.cause == UNHANDLED
    assert types.index(FAILED) < types.index(CANCEL)
    assert types[: types.index(CANCEL)].count(MARKER) == markers


@pytest.fixture
async def two_steps(client: Client, place: Place, driver: Driver) -> AsyncIterator[Driver]:
    """A client of a worker for the sagas of two steps."""
    queue = new_id("two-steps")
    url = needed(place.settings.database_url, "the ledger")
    async with open_database(url, size=4) as database:
        rooms = [SagaActivities(database, client), AuthorizationActivities(database)]
        async with worker(client, queue, [TwoSteps, TwoStepsOpenedAlone], rooms):
            yield Driver(client, queue)


@pytest.mark.parametrize("workflow", ["TwoSteps", "TwoStepsOpenedAlone"])
async def test_steps_that_had_committed_are_undone(
    two_steps: Driver, probe: Probe, stops: Stops, agent: str, workflow: str
) -> None:
    request = payment(agent, 55_000)
    event = "AuthorizationApproved"
    handle = await cancel_in_its_commit(two_steps, stops, workflow, request, event)
    result = await handle.result()
    await was_refused(handle, markers=0)
    assert (result["state"], result["reason"]) == ("voided", "cancelled")
    told = await probe.told(request)
    counted = ("SagaStarted", "StepCommitted", "StepUndone")
    assert [told.count(each) for each in counted] == [1, 2, 1]
    assert await probe.spent(agent) == (0, 0)


# Closed by its last step, by a commit of its own, and by the step that opened it.
CLOSING = {"captured": 45_000, "denied": 70_000, "registered": None}


@pytest.mark.parametrize("end", CLOSING)
async def test_a_saga_that_had_closed_in_that_task_gives_its_first_answer(
    driver: Driver, probe: Probe, stops: Stops, agent: str, end: str
) -> None:
    pesos = CLOSING[end]
    request = payment(agent, pesos) if pesos else registration(new_id("bot"))
    workflow = "PaymentSaga" if pesos else "AgentSaga"
    handle = await cancel_in_its_commit(driver, stops, workflow, request, "SagaCompleted")
    assert (await handle.result())["state"] == end
    await was_refused(handle, markers=1 if end == "captured" else 0)
    told = await probe.told(request)
    assert (told.count("SagaCompleted"), told.count("SagaCompensating")) == (1, 0)
    assert await probe.spent(agent) == ((45_000, 1) if end == "captured" else (0, 0))
