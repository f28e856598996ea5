"""Open sagas of the ledger, compared with a Temporal that pauses runs and forgets them."""

from collections.abc import AsyncIterator, Callable

import pytest
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.runs import namespace_id
from ledger.database import Database, open_database
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.orphans import declare_lost
from ledger.sagas.saga_log import Opening, Run, close_saga, open_saga
from ledger.store.commit import Author
from starter.client.client import Amends
from starter.client.runs import stopped_runs
from starter.client.waiting import todos
from tests.starter.conftest import Command
from worker.embedded.temporal import program
from workflows.contract.admission import DATA_CONVERTER

QUEUE = "nobody"


@pytest.fixture
async def pausing() -> AsyncIterator[Client]:
    """A client of a server that pauses runs."""
    async with await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(program()),
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowPauseEnabled=true"],
    ) as environment:
        yield environment.client


@pytest.fixture
async def ledger(settings: dict[str, str], working: Client) -> AsyncIterator[Database]:
    async with open_database(settings["AMENDS_DATABASE_URL"], size=2) as database:
        yield database


async def open_in(client: Client, ledger: Database, saga_id: str) -> None:
    """A saga that the namespace of the client carries."""
    here = Run(client.namespace, await namespace_id(client), QUEUE, "a-run")
    opening = Opening(
        saga_id=saga_id,
        kind="payment",
        operation_id=saga_id.partition("/")[2],
        actor="agent:bot",
        input={"amount": {"minor": 100, "currency": "ZZZ"}, "agent_id": "bot"},
        fingerprint=Fingerprint(given="f"),
        run=here,
    )
    await open_saga(ledger, Author("agent:bot", saga_id), opening)


async def test_paused_terminated_and_forgotten_runs_are_found_and_running_ones_are_not(
    pausing: Client, ledger: Database, new_id: Callable[[str], str]
) -> None:
    names = {how: f"payment/{new_id(how)}" for how in ("running", "paused", "ended", "unknown")}
    for how, saga_id in names.items():
        await open_in(pausing, ledger, saga_id)
        if how != "unknown":
            await pausing.start_workflow("PaymentSaga", id=saga_id, task_queue=QUEUE)
    await pausing.get_workflow_handle(names["ended"]).terminate()
    await pausing.workflow_service.pause_workflow_execution(
        PauseWorkflowExecutionRequest(
            namespace=pausing.namespace,
            workflow_id=names["paused"],
            identity="test",
            reason="to see",
        )
    )
    compared = await stopped_runs(pausing, ledger)
    assert {saga_id: status.name for saga_id, status in compared.stopped.items()} == {
        names["paused"]: "paused",
        names["ended"]: "terminated",
        names["unknown"]: "not_found",
    }
    listed = await todos(ledger, Amends(pausing, {}))
    rows = {row.name: row for row in listed.rows if row.name in names.values()}
    assert set(rows) == set(names.values()) - {names["running"]}
    paused = rows[names["paused"]].wait
    assert (paused.state, paused.why) == ("paused", "paused in Temporal")
    unpause = f"temporal workflow unpause --workflow-id {names['paused']}"
    address = pausing.service_client.config.target_host
    assert paused.commands == [f"{unpause} --address {address} --namespace default"]
    why = "its run is not found in Temporal; the sweep acts after its grace time"
    assert rows[names["unknown"]].wait.why == why
    # Admitted once, and no currency of payments any more: shown as it was written.
    assert rows[names["ended"]].facts["amount"] == "100 minor units of ZZZ"
    for saga_id in names.values():
        author = Author("agent:bot", saga_id)
        lost = await declare_lost(ledger, author, saga_id, 1, "terminated", None, None)
        await close_saga(ledger, author, saga_id, lost.epoch, "failed", {"reason": "lost_run"})
    after = await stopped_runs(pausing, ledger)
    assert [saga_id for saga_id in after.stopped if saga_id in names.values()] == []


async def test_a_saga_that_failed_is_told_alike_in_the_list_and_alone(
    command: Command, amends: Amends, ledger: Database, new_id: Callable[[str], str]
) -> None:
    saga_id = f"payment/{new_id('failed')}"
    await open_in(amends.client, ledger, saga_id)
    author, ended = Author("agent:bot", saga_id), {"reason": "missing"}
    lost = await declare_lost(ledger, author, saga_id, 1, "terminated", None, None)
    await close_saga(ledger, author, saga_id, lost.epoch, "failed", ended)
    lines = (await command("sagas", "--limit", "1000")).out.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{saga_id}\t")]
    assert line.split("\t")[1:4] == ["failed", "", "failed (missing)"]
    assert f"{saga_id}: failed (missing)" in (await command("saga", saga_id)).out.splitlines()
