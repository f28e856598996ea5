"""What a sweep does not do: a wrong Temporal, too many at once, too early, or what nobody knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg import AsyncConnection
from temporalio.client import Client, WorkflowUpdateStage
from temporalio.testing import WorkflowEnvironment

from activities import orphans as lost_sagas
from activities.orphans import Care, OrphanedSagas
from activities.run_watch import RunWatch
from activities.runs import namespace_id
from ledger.audit.rebuild import rebuild
from ledger.database import Database
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import Opening, Run, close_saga, open_saga
from ledger.store.commit import Author
from tests.ledger.conftest import BOUNDS_ON, RULES_OFF
from tests.sagas.conftest import QUEUE, SWEEP_QUEUE, Place, working_for
from tests.sagas.sweeping import GO_ON, Sweeper, lost, open_elsewhere, waiting
from tests.support.closing import until_the_core_has_left
from tests.support.driver import Driver, Json, new_id, payment, saga_of
from tests.support.probe import Probe
from worker.embedded.temporal import program
from worker.search_attributes import register_search_attributes
from worker.wiring import undos, worker
from workflows.contract.admission import DATA_CONVERTER
from workflows.recovery import RecoverySaga
from workflows.sweep import SweepWorkflow


@asynccontextmanager
async def sweeping(
    sweeper: Sweeper, ledger: Database, care: Care, undos: set[str]
) -> AsyncIterator[Sweeper]:
    """Sweeps with other care, or that know other undos."""
    queue, room = new_id("careful"), OrphanedSagas(ledger, sweeper.client, care, undos)
    async with worker(sweeper.client, queue, [SweepWorkflow, RecoverySaga], [room]):
        yield replace(sweeper, queue=queue)


@pytest.fixture
async def empty_temporal(place: Place) -> AsyncIterator[Client]:
    """Another Temporal, that knows nothing, and a worker on it with the same ledger."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(program()), dev_server_log_level="error"
    ) as environment:
        client = await Client.connect(
            environment.client.service_client.config.target_host, data_converter=DATA_CONVERTER
        )
        await register_search_attributes(client)
        async with working_for(client, place, QUEUE):
            yield client
        await until_the_core_has_left()


async def test_an_empty_temporal_undoes_nothing_until_a_person_says_that_the_other_is_gone(
    driver: Driver, probe: Probe, sweeper: Sweeper, empty_temporal: Client, agent: str
) -> None:
    alive = await waiting(driver, agent, "capture")
    ended = await lost(driver, agent, "capture")
    astray = Sweeper(empty_temporal, f"{QUEUE}-sweep", probe)
    size = await probe.size()
    here = await namespace_id(driver.client)
    swept = await astray.sweep()
    assert swept["recovering"] == []
    (alert,) = swept["alerts"]
    away = f"2 open sagas belong to another Temporal (namespace default, id {here}"
    assert alert.startswith(away)
    # Nor does it when it is asked for one by name, or by a client that repeats its request.
    for saga in (alive, ended):
        recovery = await astray.start_recovery(saga_of(saga))
        assert (await driver.failure(recovery)).type == "elsewhere"
        again = await Driver(empty_temporal, QUEUE).start(saga)
        assert (await driver.failure(again)).type == "operation_in_progress"
    assert await probe.size() == size
    # And if that is wrong of a run that lives, the fence is between the two: it does nothing, and
    # ends with what is on record.
    await astray.sweep(gone=[here], **GO_ON)
    result = await astray.recovered(alive)
    assert (result["state"], result["reason"]) == ("compensated", "lost_run")
    told = await probe.event(alive, "SagaLost")
    assert (told["payload"]["found"], told["payload"]["reason"]) == ("gone", GO_ON["reason"])
    assert told["user_id"] == "user:u-17"
    await astray.recovered(ended)
    by, accepted = {"actor": f"agent:{agent}"}, WorkflowUpdateStage.ACCEPTED
    await driver.handle(alive).start_update("capture", by, wait_for_stage=accepted)
    ended_with = await driver.result(alive)
    assert (ended_with["state"], ended_with["reason"]) == ("compensated", "lost_run")
    await probe.told_once(alive, "SagaCommitRefused", "SagaCompensating")
    assert await probe.booked(alive) is None
    assert await probe.spent(agent) == (0, 0)


async def test_what_another_namespace_carries_is_left_alone_and_told(
    driver: Driver, probe: Probe, sweeper: Sweeper, ledger: Database, agent: str
) -> None:
    request = payment(agent, 45_000)
    await open_elsewhere(ledger, request, QUEUE)
    assert await sweeper.leaves(request)
    (alert,) = (await sweeper.sweep())["alerts"]
    away = "1 open sagas belong to another Temporal (namespace elsewhere, id an-id)"
    assert alert.startswith(away)
    mine = await lost(driver, agent, "capture")
    # What is lost in our own namespace is recovered all the same.
    await sweeper.recover(mine)
    await sweeper.sweep(gone=["an-id"], **GO_ON)
    recovered = await sweeper.recovery(saga_of(request)).result()
    # Nothing had happened there.
    assert (recovered["state"], recovered["result"]["reason"]) == ("failed", "lost_run")


# What stands in the rows of open sagas, past all bounds, and what the sweep says of each.
DAMAGE = {
    "started_at = '-infinity'": "started_at of the row of saga/{} can't be read",
    # The sweep reads no such column, and the end of the run can't be recorded.
    "waits_until = 'infinity', run_paused = 'paused'": "waits_until of the row of saga/{} can't",
    "cause_reason = repeat('x', 70000)": "saga/{}: its run is not_found, and the ledger refuses",
    # No event has a float, and none can be written beside it.
    "input = jsonb_set(input, '{x}', '0.5')": "input of the row of saga/{} can't be read",
    "aggregate = ''": "workflow_id of the row of ",
    "workflow_id = '', aggregate = 'saga/'": "saga/: Temporal can't be asked about it",
    "workflow_id = 'payment/' || repeat('€', 330), "
    "aggregate = 'saga/payment/' || repeat('€', 330)": "saga/payment/€€",
}


async def test_a_row_that_cant_be_read_is_named_and_stops_the_recovery_of_no_other(
    driver: Driver, probe: Probe, sweeper: Sweeper, ledger: Database, agent: str
) -> None:
    here, requests = await namespace_id(driver.client), [payment(agent, 45_000) for _ in DAMAGE]
    for request in requests:
        await open_elsewhere(ledger, request, QUEUE)
    async with await AsyncConnection.connect(probe.superuser_url) as connection:
        for statement in RULES_OFF:
            await connection.execute(statement.encode())
        for damage, request in zip(DAMAGE, requests, strict=True):
            ours = f"{damage}, namespace = 'default', namespace_id = '{here}'"
            update = f"UPDATE ledger.sagas SET {ours} WHERE workflow_id = %s"
            await connection.execute(update.encode(), (saga_of(request),))
        await connection.execute(BOUNDS_ON.encode())
    mine = await lost(driver, agent, "capture")
    # The watch of closed runs meets the same row, and goes on.
    await RunWatch(ledger, driver.client, ["PaymentSaga"]).look()
    swept = await sweeper.sweep()
    assert swept["recovering"] == [saga_of(mine)]
    for said, request in zip(DAMAGE.values(), requests, strict=True):
        told = f"A saga was left alone: {said.format(saga_of(request))}"
        assert [it.startswith(told) for it in swept["alerts"]].count(True) == 1, swept["alerts"]
    await sweeper.recovered(mine)
    # Mended from the log, they are judged again.
    assert (await rebuild(probe.superuser_url, "sagas")).wrong == len(DAMAGE)
    await sweeper.sweep(gone=["an-id"], **GO_ON)
    for request in requests:
        assert (await sweeper.recovery(saga_of(request)).result())["state"] == "failed"


async def test_of_many_other_namespaces_the_first_are_named_and_all_are_counted(
    sweeper: Sweeper, ledger: Database, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_sagas, "MOST_SHOWN", 2)
    ids = ["an-id", "an-id", "other-1", "other-2", "other-3"]
    requests = [payment(agent, 45_000) for _ in ids]
    for request, its_id in zip(requests, ids, strict=True):
        await open_elsewhere(ledger, request, QUEUE, its_id)
    alerts = (await sweeper.sweep())["alerts"]
    assert alerts[0].startswith("2 open sagas belong to another Temporal (namespace elsewhere, id")
    assert alerts[2].startswith("2 open sagas belong to more namespaces")
    assert len(alerts) == 3
    await sweeper.sweep(gone=sorted(set(ids)), **GO_ON)
    for request in requests:
        await sweeper.recovery(saga_of(request)).result()


async def test_many_at_once_stop_it_until_a_person_says_go_on(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_sagas, "LOST_WITHOUT_A_PERSON", 2)
    requests = await asyncio.gather(*(lost(driver, agent, "capture") for _ in range(3)))
    size = await probe.size()
    failure = await driver.failure(await sweeper.start())
    assert failure.type == "needs_attention"
    assert failure.message.startswith(
        "3 of 3 open sagas look orphaned at once, so nothing was undone"
    )
    assert "amends sweep --all" in failure.message
    assert await probe.size() == size
    # Not without a name and a reason.
    assert (await driver.failure(await sweeper.start(all=True))).type == "InvalidInput"
    swept = await sweeper.sweep(all=True, **GO_ON)
    assert sorted(swept["recovering"]) == sorted(saga_of(request) for request in requests)
    for request in requests:
        await sweeper.recovery(saga_of(request)).result()
        told = await probe.event(request, "SagaLost")
        assert (told["user_id"], told["payload"]["reason"]) == ("user:u-17", GO_ON["reason"])
    assert await probe.spent(agent) == (0, 0)


async def test_what_was_lost_a_moment_ago_or_has_an_undo_that_nobody_knows_is_left_open(
    driver: Driver, probe: Probe, sweeper: Sweeper, ledger: Database, agent: str
) -> None:
    request = await lost(driver, agent, "capture")
    async with sweeping(sweeper, ledger, Care(grace=timedelta(hours=1)), undos()) as patient:
        assert await patient.leaves(request)
        swept = await patient.sweep()
        assert (swept["lost"], swept["left_alone"]) == (0, 1)
        assert list(swept["left_until"]) == [saga_of(request)]
        # Another request under its id, refused and on record, puts nothing off.
        other = await driver.start({**request, "description": "other"})
        assert (await driver.failure(other)).type == "operation_id_reused"
        await probe.told_once(request, "SagaReuseRefused", "SagaRunClosed")
        assert (await patient.sweep())["left_until"] == swept["left_until"]
    async with sweeping(sweeper, ledger, Care(timedelta()), set()) as older:
        await older.sweep()
        failure = await driver.failure(older.recovery(saga_of(request)))
    assert failure.type == "unknown_undo"
    assert "SagaLost" not in await probe.told(request)
    await sweeper.recover(request)


async def test_a_saga_of_a_kind_that_nobody_knows_is_left_open_and_told(
    driver: Driver, probe: Probe, sweeper: Sweeper, ledger: Database
) -> None:
    saga_id = f"parcel/{new_id('parcel')}"
    here = Run("default", await namespace_id(driver.client), QUEUE, "a-run-that-was-deleted")
    opening = Opening(
        saga_id=saga_id,
        kind="parcel",
        operation_id=saga_id.partition("/")[2],
        actor="user:u-17",
        input={},
        fingerprint=Fingerprint(given="-"),
        run=here,
    )
    author = Author("user:u-17", saga_id)
    await open_saga(ledger, author, opening)
    swept = await sweeper.sweep()
    assert (swept["lost"], swept["recovering"]) == (1, [])
    assert swept["alerts"][0].startswith(
        "orphaned sagas of an unknown kind (parcel) were left alone"
    )
    recovery = await sweeper.start_recovery(saga_id)
    assert (await driver.failure(recovery)).type == "unknown_kind"
    await close_saga(ledger, author, saga_id, 1, "completed", {})


@pytest.mark.parametrize(
    ("workflow", "workflow_id", "request_"),
    [
        ("SweepWorkflow", "swept", {}),
        ("SweepWorkflow", "recovery/payment/p-1/1", {}),
        ("RecoverySaga", "recovery/payment/p-1/2", {"saga_id": "payment/p-1", "epoch": 1}),
        ("RecoverySaga", "payment/p-1", {"saga_id": "payment/p-1", "epoch": 1}),
    ],
)
async def test_under_another_workflow_id_they_are_invalid_input(
    driver: Driver, workflow: str, workflow_id: str, request_: Json
) -> None:
    handle = await driver.start_raw(workflow, [request_], id=workflow_id, task_queue=SWEEP_QUEUE)
    failure = await driver.failure(handle)
    assert failure.type == "InvalidInput"
    assert [problem["field"] for problem in failure.details] == ["workflow_id"]


async def test_a_recovery_of_what_is_not_lost_does_nothing(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str
) -> None:
    async def how(saga_id: str, epoch: int) -> str:
        return str((await (await sweeper.start_recovery(saga_id, epoch)).result())["how"])

    request = await waiting(driver, agent)
    assert await how(saga_of(request), 1) == "open"
    assert await how(saga_of(request), 7) == "carried"
    await driver.tell(request, "approve")
    await driver.result(request)
    assert await how(saga_of(request), 1) == "ended"
    assert "SagaLost" not in await probe.told(request)
