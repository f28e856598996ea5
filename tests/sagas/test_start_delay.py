"""Sagas that begin later: by a start delay, which any update ends, or without an operation id of
their own."""

from datetime import timedelta
from typing import LiteralString

import pytest

from ledger.database import Database
from ledger.sagas.saga_log import Opening, Run, close_saga, open_saga
from ledger.store.commit import Author
from tests.sagas.conftest import INFRASTRUCTURE_QUEUE
from tests.support.driver import (
    Driver,
    Handle,
    Json,
    new_id,
    payment,
    policy,
    refused,
    registration,
)
from tests.support.probe import Probe
from workflows.contract.change import RollbackRequest
from workflows.contract.kinds import AGENT, CHANGE, PAYMENT, POLICY, ROLLBACK

HOUR, MOMENT = timedelta(hours=1), timedelta(seconds=1)


def unnamed(request: Json) -> tuple[str, Json]:
    """A request without its operation id, and that id."""
    return request["operation_id"], {k: v for k, v in request.items() if k != "operation_id"}


async def delayed(driver: Driver, request: Json, delay: timedelta = HOUR) -> Handle:
    """A payment without an operation id that begins after a while."""
    name, fields = unnamed(request)
    options: Json = {"id": f"payment/{name}", "start_delay": delay}
    return await driver.start_raw("PaymentSaga", [fields], **options)


async def test_a_start_without_an_operation_id_takes_that_of_its_workflow_id_whatever_its_kind(
    driver: Driver, probe: Probe, agent: str
) -> None:
    user = {"actor": "user:ana", "environment": new_id("env")}
    changes: Json = {"task_queue": INFRASTRUCTURE_QUEUE}
    ends = {}
    for kind, request, options in (
        (AGENT, unnamed(registration(new_id("bot")))[1], {}),
        (POLICY, unnamed(policy(agent))[1], {}),
        (PAYMENT, unnamed(payment(agent, 100))[1], {}),
        (CHANGE, {**user, "absent": ["nothing"]}, changes),
        (ROLLBACK, {**user, "to": "1"}, changes),
    ):
        name = new_id(kind.name)
        saga_id = kind.saga_id(name)
        handle = await driver.start_raw(kind.workflow, [request], id=saga_id, **options)
        ends[kind.name] = (await handle.result())["state"]
        query: LiteralString = "SELECT * FROM ledger.sagas WHERE workflow_id = %s"
        (saga,) = await probe.ledger(query, saga_id)
        assert (saga["operation_id"], saga["input"]["operation_id"]) == (name, name)
    assert ends == {
        "agent": "registered",
        "policy": "set",
        "payment": "captured",
        "change": "unchanged",
        "rollback": "unchanged",
    }


async def test_a_repeat_that_names_the_operation_is_the_same_request(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    handle = await delayed(driver, request, MOMENT)
    first = await handle.result()
    assert first["state"] == "captured"
    assert await driver.run(request) == first
    assert (await driver.submit(request))["result"] == first
    await probe.told_once(request, "TransferExecuted")
    other = await driver.start({**request, "description": "something else"})
    assert (await driver.failure(other)).type == "operation_id_reused"


async def test_a_saga_that_is_on_record_without_the_operation_id_meets_its_repeats(
    driver: Driver, ledger: Database
) -> None:
    """As earlier versions stored it, with the fingerprint of that request."""
    name = new_id("rollback")
    request = {"to": "1", "actor": "user:ana", "environment": name}
    admitted = RollbackRequest.model_validate(request)
    saga_id, author = f"rollback/{name}", Author("user:ana", f"rollback/{name}")
    opening = Opening(
        saga_id=saga_id,
        actor="user:ana",
        kind="rollback",
        operation_id=name,
        input=admitted.model_dump(mode="json"),
        fingerprint=admitted.fingerprint(),
        run=Run("elsewhere", "an-id", INFRASTRUCTURE_QUEUE, "a-run-there"),
    )
    await open_saga(ledger, author, opening)
    first = {"state": "unchanged", "notes": ["of then"]}
    await close_saga(ledger, author, saga_id, 1, "completed", first)
    for again in (request, {**request, "operation_id": None}):
        handle = await driver.start_raw(
            "RollbackSaga", [again], id=saga_id, task_queue=INFRASTRUCTURE_QUEUE
        )
        assert (await handle.result())["notes"] == ["of then"]
    other = {**request, "to": "2"}
    handle = await driver.start_raw(
        "RollbackSaga", [other], id=saga_id, task_queue=INFRASTRUCTURE_QUEUE
    )
    assert (await driver.failure(handle)).type == "operation_id_reused"


async def test_a_cancel_ends_a_payment_that_has_not_begun_without_paying(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    handle = await delayed(driver, request)
    await driver.tell(request, "cancel")
    assert (await driver.failure(handle)).type == "cancelled"
    assert await probe.booked(request) is None
    assert await probe.spent(agent) == (0, 0)
    assert "TransferStarted" not in await probe.told(request)


@pytest.mark.parametrize("update", ["approve", "reject", "capture"])
async def test_an_update_that_is_refused_ends_a_payment_that_has_not_begun_without_paying(
    driver: Driver, probe: Probe, agent: str, update: str
) -> None:
    request = payment(agent, 45_000)
    handle = await delayed(driver, request)
    why = await refused(handle.execute_update(update, {"actor": "user:ana"}))
    assert (await driver.failure(handle)).type == why.type == "not_allowed"
    assert await probe.told(request) == []
    assert (await driver.run(request))["state"] == "captured"
