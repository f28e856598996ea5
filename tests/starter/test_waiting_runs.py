"""A saga whose run does not go on is in the list at once, and printed with no command that it would
not take: terminated, paused, or reset after its end."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy

from activities.run_watch import RunWatch
from ledger.database import open_database
from ledger.sagas.orphans import declare_lost
from ledger.store.commit import Author
from starter.client.client import Amends
from starter.client.errors import SagaFailed
from tests.starter.conftest import QUEUES, Command
from tests.starter.places import Places, Waits, id_of
from tests.support.pausing import paused
from tests.support.until import until

Json = dict[str, Any]
Payment = Callable[..., Json]


@pytest.fixture
def places(command: Command, amends: Amends) -> Places:
    return Places(command, amends)


@pytest.fixture
async def watch(places: Places, settings: dict[str, str]) -> AsyncIterator[RunWatch]:
    """The worker's watch over the runs, a look at a time."""
    async with open_database(settings["AMENDS_DATABASE_URL"], size=1) as database:
        yield RunWatch(database, places.amends.client, ["PaymentSaga"])


async def recorded_as(places: Places, watch: RunWatch, saga_id: str, state: str) -> Json:
    """The saga in `sagas --json`, which reads the ledger alone, once it waits in this state."""

    async def found() -> Json | None:
        await watch.look()
        sagas = (await places.command("sagas", "--json", "--limit", "1000")).json
        (listed,) = [each for each in sagas if each["saga_id"] == saga_id]
        return listed if [wait["state"] for wait in listed["waits"]] == [state] else None

    return await until(found)


async def test_a_terminated_run_is_listed_at_once_and_everywhere_before_the_sweep_acts(
    places: Places,
    command: Command,
    payment: Payment,
    settings: dict[str, str],
    watch: RunWatch,
) -> None:
    request = payment(55_000)
    saga_id = id_of(request)
    await command("pay", request)
    await places.amends.client.get_workflow_handle(saga_id).terminate("an accident")
    row = await places.row(saga_id)
    told = ("orphaned", "recovery", "user", ["amends sweep"])
    assert tuple(row[name] for name in ("state", "waits_for", "whom", "commands")) == told
    assert row["why"] == "its run is terminated in Temporal; the sweep acts after its grace time"
    assert row["what"]["amount"] == "55,000.00 ARS"
    progress = await places.amends.progress(saga_id)
    assert (progress.state, progress.waits_for) == ("orphaned", "recovery")
    assert [wait.why for wait in progress.waits] == [row["why"]]
    since = datetime.fromisoformat(row["since"])
    assert [wait.since for wait in progress.waits] == [since]
    await recorded_as(places, watch, saga_id, "orphaned")
    await is_orphaned(places, saga_id, row["why"])
    async with open_database(settings["AMENDS_DATABASE_URL"], size=1) as database:
        author = Author("user:ana", saga_id)
        await declare_lost(database, author, saga_id, 1, "terminated", None, "execute transfer")
    await watch.look()
    lost = "its run is recorded as lost (terminated); the sweep acts after its grace time"
    await is_orphaned(places, saga_id, lost)
    assert (await command("pay", request)).status == 1
    await places.are_silent(saga_id)


async def is_orphaned(places: Places, saga_id: str, why: str) -> None:
    """What reads the ledger says so, and prints no command that the saga does not take."""
    row = await places.row(saga_id)
    (listed,) = (await places.command("saga", saga_id, "--json")).json["waits"]
    for wait in (row, listed):
        told = (wait["state"], wait["waits_for"], wait["why"], wait["commands"])
        assert told == ("orphaned", "recovery", why, ["amends sweep"])
    said = (await places.command("saga", saga_id)).out
    assert said.splitlines()[0] == f"{saga_id} is orphaned ({why}): amends sweep"
    assert "amends approve" not in said
    lines = (await places.command("sagas", "--limit", "1000")).out.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{saga_id}\t")]
    assert line.split("\t")[1:3] == ["orphaned", "recovery"]


@pytest.mark.parametrize("other", [{"amount": {"minor": 1, "currency": "ARS"}}, {"amount": 0}])
async def test_a_start_that_is_refused_under_the_id_of_an_orphaned_saga_changes_nothing(
    places: Places, command: Command, payment: Payment, watch: RunWatch, other: Json
) -> None:
    request = payment(55_000)
    saga_id, client = id_of(request), places.amends.client
    await command("pay", request)
    await client.get_workflow_handle(saga_id).terminate("an accident")
    listed = await recorded_as(places, watch, saga_id, "orphaned")
    refused = await client.start_workflow(
        "PaymentSaga",
        {**request, **other},
        id=saga_id,
        task_queue=QUEUES["AMENDS_PAYMENTS_QUEUE"],
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )
    with pytest.raises(WorkflowFailureError):
        await refused.result()
    # The index names the refused run from here on, and it is the newest of this id.
    await until(partial(is_indexed_as_failed, client, saga_id))
    await watch.look()
    row = await places.row(saga_id)
    assert (row["since"], row["why"]) == (listed["waits"][0]["since"], listed["waits"][0]["why"])
    await is_orphaned(places, saga_id, row["why"])
    said = (await command("log", f"saga/{saga_id}", "--json")).out
    assert said.count("SagaRunClosed") == 1
    progress = await places.amends.progress(saga_id)
    assert [wait.why for wait in progress.waits] == [row["why"]]
    approved = await command("approve", saga_id, "--yes", "--as", "boss")
    assert approved.status == 2
    assert f"{saga_id} is orphaned" in approved.err
    with pytest.raises(SagaFailed, match="is orphaned"):
        await places.amends.result(saga_id)
    await command("pay", request)
    assert (await command("reject", saga_id, "--as", "boss")).status == 0
    await places.are_silent(saga_id)


async def is_indexed_as_failed(client: Client, saga_id: str) -> bool:
    query = f"WorkflowId = '{saga_id}' AND ExecutionStatus = 'Failed'"
    return (await client.count_workflows(query)).count == 1


async def test_a_paused_run_is_listed_as_paused_until_it_is_unpaused(
    places: Places, command: Command, payment: Payment, watch: RunWatch
) -> None:
    request = payment(55_000)
    saga_id = id_of(request)
    await command("pay", request)
    async with paused(places.amends.client, saga_id):
        listed = await recorded_as(places, watch, saga_id, "paused")
        address = places.amends.client.service_client.config.target_host
        there = f"--address {address} --namespace default"
        unpause = f"temporal workflow unpause --workflow-id {saga_id} {there}"
        assert [wait["commands"] for wait in listed["waits"]] == [[unpause]]
        said = (await command("saga", saga_id)).out
        assert said.splitlines()[0] == f"{saga_id} is paused in Temporal: {unpause}"
        row = await places.row(saga_id)
        assert {name: row[name] for name in listed["waits"][0]} == listed["waits"][0]
        assert row["until"] is not None
    await recorded_as(places, watch, saga_id, "running")
    await places.are(saga_id, Waits("running", "approval", "user"))
    assert (await command("reject", saga_id, "--as", "boss")).status == 0
    await places.are_silent(saga_id)


async def test_a_run_that_was_reset_after_its_end_goes_on(
    places: Places, command: Command, payment: Payment, watch: RunWatch
) -> None:
    request = payment(55_000)
    saga_id = id_of(request)
    await command("pay", request)
    client = places.amends.client
    await client.get_workflow_handle(saga_id).terminate("an accident")
    await recorded_as(places, watch, saga_id, "orphaned")
    await reset(client, saga_id)
    await recorded_as(places, watch, saga_id, "running")
    await places.are(saga_id, Waits("running", "approval", "user"))
    assert (await command("approve", saga_id, "--as", "boss")).status == 0
    await places.are_silent(saga_id)


async def reset(client: Client, saga_id: str) -> None:
    """The newest run goes on from its last workflow task but one, as from the Web UI."""
    history = await client.get_workflow_handle(saga_id).fetch_history()
    done = [
        event.event_id
        for event in history.events
        if event.HasField("workflow_task_completed_event_attributes")
    ]
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=saga_id),
            reason="it was an accident",
            workflow_task_finish_event_id=done[-1],
            request_id=str(uuid4()),
        )
    )
