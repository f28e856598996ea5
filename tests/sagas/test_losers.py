"""Sagas that lose: a race for a resource, and updates that meet the end of their run."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowUpdateHandle,
)
from temporalio.service import RPCError
from temporalio.service import RPCStatusCode as Status

from starter import Amends
from starter.client.errors import NotAllowed
from tests.infrastructure.driver import Target, role
from tests.sagas.conftest import GATED, QUEUE, NewAgent
from tests.support.activity_gates import Gates
from tests.support.driver import Driver, Handle, Json, new_id, payment, saga_of, until_waits_for
from tests.support.until import until
from workflows.contract.payment import PaymentRequest

Update = WorkflowUpdateHandle[Any]


async def change(client: Client, name: str, present: list[Json]) -> Handle:
    """A change that runs behind the gates."""
    request = {"operation_id": name, "actor": "user:ana", "present": present}
    return await client.start_workflow(
        "InfrastructureSaga",
        request,
        id=f"change/{name}",
        task_queue=f"{GATED}-changes",
        result_type=dict,
    )


async def end(handle: Handle) -> Json:
    """The result of a change; a run that fails has none."""
    return dict(await handle.result())


async def test_who_loses_a_race_for_a_role_is_refused_as_claimed_and_told_the_holder_at_any_time(
    gated: Client, gates: Gates, target: Target, driver: Driver
) -> None:
    name = new_id("app")
    winner, early, late, half, *others = (new_id("race") for _ in range(6))
    create = f"apply_resource create {name}"
    held = {each: gates.hold(f"change/{each}", create, "before") for each in (early, late, half)}
    first = gates.hold(f"change/{winner}", create, "before")
    alone, more = [role(name)], [role(f"{name}-own"), {**role(name), "depends_on": [f"{name}-own"]}]
    runs = {
        each: await change(gated, each, more if each == half else alone) for each in (winner, *held)
    }
    # All of them have a plan now, by which the role is free.
    await asyncio.gather(first.reached(), *(gate.reached() for gate in held.values()))
    async with target.hold("postgres.role", name):
        await first.let_go()
        await until(lambda: target.someone_waits("postgres.role", name))
        await held[early].let_go()
        ends = {early: await end(runs[early])}
        # Planned while the winner holds the role.
        ends |= {each: await end(await change(gated, each, alone)) for each in others}
    assert (await end(runs[winner]))["state"] == "applied"
    for each in (late, half):
        await held[each].let_go()
        ends[each] = await end(runs[each])
    told = {each: (found["state"], found["reason"]) for each, found in ends.items()}
    refused = dict.fromkeys((early, late, *others), ("refused", "claimed"))
    assert told == {**refused, half: ("compensated", "claimed")}
    assert [each for each, found in ends.items() if f"change/{winner}" not in str(found)] == []
    assert await target.names(name) == {name}


class Dropping(Interceptor):
    """A client whose server drops an update: `meanwhile` happens to its run, and the update that
    the client then sends again has the same id."""

    def __init__(
        self, meanwhile: Callable[[], Awaitable[object]], *said: tuple[Status, str]
    ) -> None:
        self.meanwhile, self.said = meanwhile, [*said]
        self.ids: list[str | None] = []

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Dropping(next, self)


class _Dropping(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, script: Dropping) -> None:
        super().__init__(next)
        self.script = script

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> Update:
        self._drop(input.id)
        await self.script.meanwhile()
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: StartWorkflowUpdateWithStartInput
    ) -> Update:
        self._drop(None)
        return await super().start_update_with_start_workflow(input)

    def _drop(self, update_id: str | None) -> None:
        self.script.ids.append(update_id)
        if self.script.said:
            status, message = self.script.said.pop()
            raise RPCError(message, status, b"")


DROPPED = (
    (Status.ABORTED, "workflow update was aborted"),
    (Status.UNAVAILABLE, "workflow update was aborted"),
    (
        Status.RESOURCE_EXHAUSTED,
        "workflow operation can not be applied because workflow is closing",
    ),
)


def sdk(client: Client, script: Dropping) -> Amends:
    config = client.config()
    config["interceptors"] = [script]
    return Amends(Client(**config), {"AMENDS_PAYMENTS_QUEUE": QUEUE})


async def test_an_update_that_the_server_drops_is_sent_again_and_answered_by_the_run_or_its_end(
    driver: Driver, new_agent: NewAgent
) -> None:
    async def nothing() -> None: ...

    asked = PaymentRequest.model_validate(payment(await new_agent(), 55_000))
    script = Dropping(nothing, *DROPPED)
    amends = sdk(driver.client, script)
    saga_id = (await amends.submit(asked)).saga_id
    assert script.said == []
    script.said = [*DROPPED]
    assert (await amends.reject(saga_id, actor="user:ana")).saga_id == saga_id
    sent = {each for each in script.ids if each}
    assert (len(sent), script.ids.count(*sent)) == (1, 4)
    script.said = [*DROPPED]
    with pytest.raises(NotAllowed, match="ended as rejected, cancel comes too late"):
        await amends.cancel(saga_id, actor="user:ana")


async def test_an_update_in_flight_when_its_run_is_terminated_says_that_the_run_was_lost(
    driver: Driver, new_agent: NewAgent
) -> None:
    request = payment(await new_agent(), 55_000)
    handle = await driver.until_waits(request, "approval")
    amends = sdk(driver.client, Dropping(handle.terminate, DROPPED[0]))
    with pytest.raises(
        NotAllowed, match=r"is orphaned, since its run was lost, so approve can't be"
    ):
        await amends.approve(saga_of(request), actor="user:ana")


async def test_an_update_that_was_taken_when_its_run_is_terminated_says_that_the_run_was_lost(
    gated: Client, gates: Gates, driver: Driver, new_agent: NewAgent
) -> None:
    request = payment(await new_agent(), 1_000, capture="manual")
    saga_id = saga_of(request)
    transfer = gates.hold(saga_id, "execute_transfer execute transfer", "after")
    handle = await gated.start_workflow(
        "PaymentSaga", request, id=saga_id, task_queue=GATED, result_type=dict
    )
    await until_waits_for(handle, "capture")
    amends = Amends(driver.client, {"AMENDS_PAYMENTS_QUEUE": GATED})
    waits = asyncio.create_task(amends.capture(saga_id, actor=f"agent:{request['agent_id']}"))
    await transfer.reached()
    await handle.terminate()
    with pytest.raises(
        NotAllowed, match=r"is orphaned, since its run was lost, so capture can't be"
    ):
        await waits
    await transfer.let_go()
    # The request again carries it on.
    assert (await driver.run(request))["state"] == "captured"
