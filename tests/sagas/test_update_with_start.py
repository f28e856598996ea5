"""An update that comes with the start and is refused: the run ends with the same failure, and
nothing was done."""

import asyncio
from typing import Any

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError

from tests.sagas.conftest import Place, working_for
from tests.support.driver import USER, Driver, Handle, payment, raw, refused
from tests.support.probe import Probe
from tests.support.until import until

OTHER_CBU = "0170099220000067797370"
Case = tuple[str, Any, str, str]

# What is sent with the start of a good payment, and what is wrong about it.
REFUSED: dict[str, Case] = {
    "another amount": ("submit", {"amount": {"minor": 600, "currency": "ARS"}}, "reused", ""),
    "another payee": ("submit", {"destination": {"cbu": OTHER_CBU}}, "reused", ""),
    "another field": ("submit", {"capture": "sometimes"}, "InvalidInput", "capture"),
    "no request": ("submit", [1, 2], "InvalidInput", "input"),
    "no JSON": ("submit", raw(b"{"), "InvalidInput", "input"),
    "no update": ("sumbit", {}, "InvalidInput", "update"),
    "an approval": ("approve", USER, "not_allowed", ""),
    "a capture": ("capture", USER, "not_allowed", ""),
    "a resolution": ("resolve", {**USER, "step": "settle", "evidence": "E"}, "not_allowed", ""),
    "a cancel by nobody": ("cancel", {"actor": "nobody"}, "InvalidInput", "actor"),
}


async def failures_of(handle: Handle) -> list[Failure]:
    """Every failure that left this run: of its updates, and its own."""
    found = []
    for event in (await handle.fetch_history()).events:
        update = event.workflow_execution_update_completed_event_attributes
        if update.outcome.HasField("failure"):
            found.append(update.outcome.failure)
        if event.HasField("workflow_execution_failed_event_attributes"):
            found.append(event.workflow_execution_failed_event_attributes.failure)
    return found


async def is_started(handle: Handle) -> bool:
    try:
        await handle.describe()
    except RPCError:
        return False
    return True


def assert_public(failure: Failure) -> None:
    """A type and a message for programs and people, and nothing of how we work."""
    assert failure.application_failure_info.type
    assert failure.message
    assert not failure.HasField("cause")
    assert failure.stack_trace == ""


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refused_update_leaves_nothing_of_its_start(
    driver: Driver, probe: Probe, agent: str, what: str
) -> None:
    update, argument, kind, field = REFUSED[what]
    request, before = payment(agent, 5), await probe.size()
    sent = (
        {**request, **argument} if update == "submit" and isinstance(argument, dict) else argument
    )
    failure = await refused(driver.start_with(request, update, sent))
    of_run = await driver.failure(driver.handle(request))
    for each in (failure, of_run):
        assert (each.type or "").endswith(kind)
        assert [detail["field"] for detail in each.details] == ([field] if field else [])
    assert failure.message == of_run.message
    if kind == "reused":
        # Nothing has the operation id: a new one is no advice for who mixed up two requests.
        assert "was started with another request" in failure.message
        assert "nothing was done: send one request with both" in failure.message
    for left in await failures_of(driver.handle(request)):
        assert_public(left)
    assert await probe.size() == before
    # The operation id is still free.
    assert (await driver.run(request))["state"] == "captured"


async def test_what_others_send_with_it_does_not_end_a_request_that_was_submitted(
    driver: Driver, client: Client, place: Place, agent: str
) -> None:
    request, queued = payment(agent, 5), Driver(client, "queued-at-first")
    other = {**request, "description": "another request"}
    mine = asyncio.create_task(queued.submit(request))
    await until(lambda: is_started(queued.handle(request)))
    theirs = asyncio.create_task(queued.handle(request).execute_update("approve", USER))
    again = asyncio.create_task(queued.submit(other))
    async with working_for(client, place, queued.queue):
        assert (await mine)["decision"] == "approved"
        assert (await refused(theirs)).type == "not_allowed"
        assert (await refused(again)).type == "operation_id_reused"
        assert (await queued.result(request))["state"] == "captured"


async def test_a_repeat_with_another_request_after_the_end_changes_nothing(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 5)
    assert (await driver.run(request))["state"] == "captured"
    other = {**request, "amount": {"minor": 600, "currency": "ARS"}}
    for start, submit in ((other, other), (request, other), (other, request)):
        anew = driver.start_with(
            start, "submit", submit, id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE
        )
        assert (await refused(anew)).type == "operation_id_reused"
        for each in await failures_of(driver.handle(request)):
            assert_public(each)
    assert await probe.spent(agent) == (5, 1)
