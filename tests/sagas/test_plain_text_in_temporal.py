"""What Temporal keeps in plain text under a codec (failures, reasons, notes, search attributes,
names of memos, ids) holds nothing of a request."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DescribeScheduleRequest,
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    ListSchedulesRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client, WorkflowFailureError
from temporalio.converter import PayloadCodec

from activities.adapters.mock import Fault, MockBank
from starter import Amends
from starter.client.errors import AmendsError
from tests.sagas.conftest import NewAgent, Place, working_for
from tests.support.driver import CBU, Driver, new_id, payment, saga_of
from tests.support.until import until
from worker.embedded.servers import EmbeddedServers
from workflows.contract.admission import DATA_CONVERTER
from workflows.contract.change import RollbackRequest
from workflows.contract.payment import PaymentRequest

QUEUE = "sagas-encoded"
SECRET = "Zapallar-4711"
# Of a request: description, metadata, a reason, the account, and the amount in its two forms.
HIDDEN = (SECRET, CBU, "45,000", "4500000", "55,000", "5500000", "70,000", "7000000")


class Scramble(PayloadCodec):
    """Turns every byte of a payload over: no text is left."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        encoding = {"encoding": b"binary/scrambled"}
        plain = [payload.SerializeToString() for payload in payloads]
        return [Payload(metadata=encoding, data=bytes(255 - b for b in text)) for text in plain]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(bytes(255 - b for b in it.data)) for it in payloads]


@pytest.fixture
async def encoded(servers: EmbeddedServers, place: Place) -> AsyncIterator[Client]:
    """A client with a codec, and a worker of it."""
    converter = replace(DATA_CONVERTER, payload_codec=Scramble())
    client = await Client.connect(servers.temporal.address, data_converter=converter)
    async with working_for(client, place, QUEUE):
        yield client


async def test_a_value_of_a_request_is_in_no_text_that_a_codec_leaves_alone(
    encoded: Client, driver: Driver, new_agent: NewAgent, bank: MockBank
) -> None:
    queues = {"AMENDS_PAYMENTS_QUEUE": QUEUE, "AMENDS_INFRASTRUCTURE_QUEUE": f"{QUEUE}-changes"}
    amends = Amends(encoded, queues)
    more: dict[str, Any] = {"description": SECRET, "metadata": {"session": SECRET}}
    paid, waits, rejected, denied, refused, lost = [
        payment(await new_agent(), pesos, **more)
        for pesos in (45_000, 55_000, 55_000, 70_000, 45_000, 55_000)
    ]
    await bank.inject(Fault(saga_of(refused), "refuse", note=SECRET))
    for request in (paid, waits, rejected, denied, refused, lost):
        await amends.submit(PaymentRequest.model_validate(request))
    with pytest.raises(AmendsError):
        await amends.capture(saga_of(waits), actor="user:ana", reason=SECRET)
    await amends.approve(saga_of(waits), actor="user:ana", reason=SECRET)
    await amends.reject(saga_of(rejected), actor="user:ana", reason=SECRET)
    await amends.cancel(saga_of(lost), actor="user:ana", reason=SECRET)
    sagas = [saga_of(it) for it in (paid, waits, rejected, denied, refused, lost)]
    for saga_id in sagas:
        await until(partial(_has_ended, amends, saga_id))
    wrong = {**paid, "operation_id": new_id("pay"), "amount": SECRET, CBU: SECRET, "capture": CBU}
    with pytest.raises(WorkflowFailureError):
        await encoded.execute_workflow("PaymentSaga", wrong, id=saga_of(wrong), task_queue=QUEUE)
    delayed = payment(await new_agent(), 45_000, **more)
    await Driver(encoded, QUEUE).start(delayed, start_delay=timedelta(hours=1))
    await amends.cancel(saga_of(delayed), actor="user:ana", reason=SECRET)
    with pytest.raises(AmendsError):
        await amends.result(saga_of(delayed))
    sagas += [saga_of(wrong), saga_of(delayed)]
    other = {**paid, "description": f"{SECRET} again"}
    with pytest.raises(AmendsError):
        await amends.submit(PaymentRequest.model_validate(other))
    schedules = await _scheduled(amends, paid)
    kept = await _kept(encoded, sagas, schedules)
    # The ids are there, so this is what the server keeps.
    assert all(name.encode() in kept for name in (*sagas, *schedules))
    assert [text for text in HIDDEN if text.encode() in kept] == []


async def _has_ended(amends: Amends, saga_id: str) -> bool:
    return (await amends.progress(saga_id)).result is not None


async def _scheduled(amends: Amends, paid: dict[str, Any]) -> list[str]:
    """Schedules of a payment and of a rollback, for which reasons were given."""
    unnamed = PaymentRequest.model_validate({**paid, "operation_id": None})
    back = RollbackRequest(to="1", actor="user:ana", reason=SECRET)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    names = [new_id("rent"), new_id("night")]
    await amends.schedules.recurring(names[0], unnamed, "0 9 1 * *")
    made = await amends.schedules.once(names[1], back, tomorrow)
    assert made.note.endswith(SECRET)
    for name in names:
        await amends.schedules.pause(name, actor="user:ana")
    return names


async def _kept(client: Client, sagas: list[str], schedules: list[str]) -> bytes:
    """Everything that the server has of these, as it has it."""
    service, namespace = client.workflow_service, client.namespace
    kept = list[Message]()
    for saga_id in sagas:
        execution = WorkflowExecution(workflow_id=saga_id)
        history = GetWorkflowExecutionHistoryRequest(namespace=namespace, execution=execution)
        described = DescribeWorkflowExecutionRequest(namespace=namespace, execution=execution)
        kept.append(await service.get_workflow_execution_history(history))
        kept.append(await service.describe_workflow_execution(described))
    for name in schedules:
        asked = DescribeScheduleRequest(namespace=namespace, schedule_id=name)
        kept.append(await service.describe_schedule(asked))
        await client.get_schedule_handle(name).delete()
    query = f"TaskQueue = '{QUEUE}'"
    listed = ListWorkflowExecutionsRequest(namespace=namespace, query=query)
    kept.append(await service.list_workflow_executions(listed))
    kept.append(await service.list_schedules(ListSchedulesRequest(namespace=namespace)))
    return b"\n".join(each.SerializeToString() for each in kept)
