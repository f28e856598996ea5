"""What a client says of a saga whose run is paused in Temporal, or begins later."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from starter import Amends
from starter.client.errors import NotBegun, Paused
from tests.starter.conftest import QUEUES, Command
from tests.support.pausing import paused
from workflows.contract.payment import PaymentRequest
from workflows.contract.waits import Wait

Payment = Callable[..., dict[str, Any]]


async def test_a_paused_saga_is_called_paused_by_every_command_and_goes_on_afterwards(
    amends: Amends, command: Command, payment: Payment
) -> None:
    request = payment(55_000)
    asked = PaymentRequest.model_validate(request)
    saga_id = (await amends.submit(asked)).saga_id
    address = amends.client.service_client.config.target_host
    told = (
        f"{saga_id} is paused in Temporal: temporal workflow unpause --workflow-id {saga_id} "
        f"--address {address} --namespace default"
    )
    async with paused(amends.client, saga_id):
        for ask in (
            amends.approve(saga_id, actor="user:ana"),
            amends.cancel(saga_id, actor="user:ana"),
            amends.submit(asked),
        ):
            with pytest.raises(Paused) as refused:
                await ask
            assert str(refused.value).startswith(told)
        progress = await amends.progress(saga_id)
        assert (progress.state, progress.waits_for) == ("paused", "unpause")
        assert [wait.commands for wait in progress.waits] == [[told.partition(": ")[2]]]
        (row,) = [
            each
            for each in (await command("waiting", "--json")).json
            if each.get("saga_id") == saga_id
        ]
        said = {each.name: row[each.name] for each in fields(Wait)}
        assert TypeAdapter(Wait).validate_python(said) == progress.waits[0]
        async with aclosing(amends.follow(saga_id)) as followed:
            assert [each.needs_person async for each in followed] == [True]
        assert await amends.find(str(asked.operation_id)) == saga_id
        for done in (
            await command("approve", saga_id, "--as", "ana"),
            await command("pay", request),
        ):
            assert (done.status, told in done.err) == (2, True)
            assert "start one" not in done.err
    assert (await command("approve", saga_id, "--as", "ana")).status == 0
    assert (await amends.result(saga_id)).state == "captured"


async def test_a_paused_saga_without_a_ledger_to_read_is_called_paused_too(
    amends: Amends, payment: Payment, settings: dict[str, str]
) -> None:
    saga_id = (await amends.submit(PaymentRequest.model_validate(payment(55_000)))).saga_id
    alone = Amends(amends.client, {k: v for k, v in settings.items() if k != "AMENDS_AUDIT_URL"})
    async with paused(amends.client, saga_id):
        with pytest.raises(Paused):
            await alone.progress(saga_id)
        with pytest.raises(Paused):
            [each async for each in alone.follow(saga_id)]
    await amends.cancel(saga_id, actor="user:ana")


async def test_a_saga_with_a_start_delay_is_said_to_begin_later(
    amends: Amends, command: Command, payment: Payment
) -> None:
    request = payment(45_000)
    saga_id = f"payment/{request.pop('operation_id')}"
    await amends.client.start_workflow(
        "PaymentSaga",
        request,
        id=saga_id,
        task_queue=QUEUES["AMENDS_PAYMENTS_QUEUE"],
        start_delay=timedelta(hours=1),
    )
    with pytest.raises(NotBegun, match="its start delay has not passed"):
        await amends.progress(saga_id)
    cancelled = await command("cancel", saga_id, "--as", "ana")
    assert "nothing" not in cancelled.err
    assert (await command("payments", "--agent", request["agent_id"], "--json")).json == []
