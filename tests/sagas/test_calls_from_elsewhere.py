"""Whoever may write to the namespace calls our activities from a workflow of their own: what nobody
signed is refused there too."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from ledger.database import Database
from ledger.read.sagas import saga as recorded
from ledger.sagas.signatures import WORDS
from starter.client.recorded import progress_of
from tests.sagas.conftest import Inject, NewAgent, Place, working_for
from tests.support.driver import Driver, Json, new_id, policy, refund, saga_of
from tests.support.probe import Probe
from tests.support.signing import ANA, SIGNATURE, Bot, by, new_key, registered, signed, unsigned
from tests.support.until import until

QUEUE, ELSEWHERE = "called-payments", "elsewhere"


@workflow.defn(sandboxed=False)
class Elsewhere:
    """A workflow that is none of ours."""

    @workflow.run
    async def run(self, activity: str, args: list[Any]) -> Any:
        """Call one activity of the worker."""
        return await workflow.execute_activity(
            activity,
            args=args,
            task_queue=QUEUE,
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


@pytest.fixture(scope="module")
async def working(place: Place, client: Client, quick_bank: None) -> AsyncIterator[None]:
    """The worker as it is in production, and one of a stranger."""
    runner = UnsandboxedWorkflowRunner()
    stranger = Worker(client, task_queue=ELSEWHERE, workflows=[Elsewhere], workflow_runner=runner)
    async with working_for(client, place, QUEUE, environment="production"), stranger:
        yield


@pytest.fixture
async def driver(client: Client, probe: Probe, working: None) -> AsyncIterator[Driver]:
    yield Driver(client, QUEUE)
    await probe.check()


async def refused(client: Client, activity: str, claim: Json, request: Json) -> str:
    """The words with which an activity refuses what a stranger asks for."""
    name = f"{activity}-{claim['saga_id']}-{claim['actor']}-{new_key().id}"
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow(
            "Elsewhere", args=[activity, [claim, request]], id=name, task_queue=ELSEWHERE
        )
    error = failed.value.cause
    assert isinstance(error, ActivityError)
    assert isinstance(error.cause, ApplicationError)
    assert error.cause.type == "InvalidInput", error.cause
    return str(error.cause.details[0]["reason"]).partition(":")[0]


async def test_nobody_approves_captures_cancels_or_changes_a_policy_by_an_activity(
    driver: Driver, probe: Probe, client: Client, new_agent: NewAgent, ledger: Database
) -> None:
    agent, anas = await new_agent(), await registered(ledger, ANA)
    bot = Bot(agent, await registered(ledger, f"agent:{agent}"))
    request = bot.asks(55_000, capture="manual")
    await driver.submit(request)
    saga, own = saga_of(request), f"agent:{agent}"
    authorization_id = (await probe.authorization(request))["authorization_id"]
    claim = {"saga_id": saga, "step": "approve", "ordinal": 2, "epoch": 1, "ends_wait": True}

    def said(verb: str, **more: str) -> Json:
        document = by(anas, request, verb, **more)
        says = unsigned(document)
        return {"saga_id": saga, "verb": verb, "says": says, **document[SIGNATURE]}

    approve = {"authorization_id": authorization_id, "reason": "forged"}
    for actor in (ANA, own, "system:amends"):
        words = await refused(client, "approve_authorization", {**claim, "actor": actor}, approve)
        assert words == "missing_signature"
    for decision in (said("reject"), said("approve", binding="0" * 64)):
        forged = {**claim, "actor": ANA, "decision": decision}
        assert await refused(client, "approve_authorization", forged, approve) == (
            "invalid_signature"
        )
    cause = {"cause": "rejected", "reason": "forged"}
    await refused(client, "begin_compensation", {**claim, "actor": ANA}, cause)
    limits = {**policy(agent), "max_per_transaction_minor": 9_000_000_00}
    terms = {name: limits[name] for name in limits if name.endswith(("minor", "currency", "_id"))}
    terms = {**terms, "agent_id": agent, "time_zone": "UTC"}
    terms.pop("operation_id", None)
    await refused(client, "set_policy", {**claim, "actor": own, "ends_wait": False}, terms)

    await driver.tell(request, "approve", by(anas, request, "approve", reason="right"))
    transfer = {
        "authorization_id": authorization_id,
        "agent_id": agent,
        "amount_minor": 5_500_000,
        "currency": "ARS",
        "destination": request["destination"]["cbu"],
        "description": "",
    }
    send = {**claim, "step": "execute transfer", "ordinal": 3, "actor": own}
    for ends_wait in (True, False):
        asked = {**send, "ends_wait": ends_wait}
        assert await refused(client, "execute_transfer", asked, transfer) == "missing_signature"
    assert await probe.booked(request) is None
    assert (await driver.progress(request))["waits_for"] == "capture"
    capture = bot.key.signed(saga, "capture", {"actor": own})
    decision = {"saga_id": saga, "verb": "capture", "says": {"actor": own}, **capture[SIGNATURE]}
    elsewhere = {**transfer, "destination": "0" * 22}
    words = await refused(client, "execute_transfer", {**send, "decision": decision}, elsewhere)
    assert words == "invalid_signature"
    await driver.tell(request, "capture", capture)
    assert (await driver.result(request))["state"] == "captured"


async def test_a_saga_that_was_lost_hears_no_unsigned_cancel_and_stays_signed(
    driver: Driver, probe: Probe, client: Client, new_agent: NewAgent, ledger: Database
) -> None:
    agent, anas = await new_agent(), await registered(ledger, ANA)
    request = Bot(agent, await registered(ledger, f"agent:{agent}")).asks(55_000)
    await driver.submit(request)
    saga = saga_of(request)
    assert not progress_of(await recorded(ledger, saga)).unsigned
    await driver.handle(request).terminate()
    # A repeat need not be signed, since the ledger knows the request; a decision has to be.
    forged = {"actor": ANA, "reason": "forged"}
    with pytest.raises(WorkflowUpdateFailedError):
        await driver.start_with(unsigned(request), "cancel", forged)
    failure = await driver.failure(driver.handle(request))
    assert failure.details[0] == {"field": SIGNATURE, "reason": WORDS["missing_signature"]}
    # As a recovery starts it.
    await driver.until_waits((await probe.saga(request))["input"], "approval")
    assert not (await driver.progress(request))["unsigned"]
    await driver.tell(request, "approve", by(anas, request, "approve"))
    result = await driver.result(request)
    assert (result["state"], "unsigned" in result) == ("captured", False)


async def test_a_mandate_that_was_signed_is_granted_and_pays(
    driver: Driver, new_agent: NewAgent, ledger: Database
) -> None:
    agent, anas = await new_agent(), await registered(ledger, ANA)
    bot, mandate = Bot(agent, await registered(ledger, f"agent:{agent}")), f"m-{agent}"
    grant: Json = {
        "operation_id": new_id("grant"),
        "actor": ANA,
        "action": "grant",
        "mandate": mandate,
    }
    grant |= {"agent_id": agent, "currency": "ARS", "amount_minor": 10_000_000}
    saga = f"mandate/{grant['operation_id']}"
    handle = await driver.start_raw("MandateSaga", [anas.signed(saga, "submit", grant)], id=saga)
    assert (await handle.result())["state"] == "granted"
    assert (await driver.run(bot.asks(45_000, mandate=mandate)))["state"] == "captured"


async def test_a_refund_is_of_the_payment_and_the_amount_that_a_person_signed(
    driver: Driver, client: Client, new_agent: NewAgent, ledger: Database, inject: Inject
) -> None:
    agent, anas = await new_agent(), await registered(ledger, ANA)
    paid = Bot(agent, await registered(ledger, f"agent:{agent}")).asks(45_000)
    await driver.submit(paid)
    assert (await driver.result(paid))["state"] == "captured"
    back = refund(paid, 10, actor=ANA)
    saga = saga_of(back)
    # The bank has not answered, and does not say what became of it.
    for operation in ("refund", "find"):
        await inject(back, "timeout_before", operation=operation)
    handle = await driver.start_raw("RefundSaga", [anas.signed(saga, "submit", back)], id=saga)
    await until(lambda: driver.is_in(back, "resolving"))
    claim = {"saga_id": saga, "step": "reserve more", "ordinal": 9, "epoch": 1, "actor": ANA}
    more = {"payment": paid["operation_id"], "amount_minor": 2_000, "currency": "ARS"}
    assert await refused(client, "reserve_refund", claim, more) == "invalid_signature"
    assert (await handle.result())["state"] == "refunded"


async def test_each_part_of_a_payment_is_captured_as_its_agent_signed(
    driver: Driver, new_agent: NewAgent, ledger: Database
) -> None:
    agent = await new_agent()
    bot = Bot(agent, await registered(ledger, f"agent:{agent}"))
    request = bot.asks(45_000, capture="manual")
    await driver.submit(request)
    for verb, told in (
        ("capture", {"amount_minor": 1_000_000}),
        ("capture", {"amount_minor": 500_000}),
        ("void", {"reason": "enough"}),
    ):
        says = {"actor": f"agent:{agent}", **told}
        await driver.tell(request, verb, bot.key.signed(saga_of(request), verb, says))
    result = await driver.result(request)
    assert (result["state"], result["captured_minor"]) == ("captured", 1_500_000)
    assert "unsigned" not in result


async def test_a_signed_capture_of_a_part_captures_once_whoever_sends_it_again(
    driver: Driver, probe: Probe, ledger: Database, new_agent: NewAgent
) -> None:
    agent = await new_agent()
    bot = Bot(agent, await registered(ledger, f"agent:{agent}"))
    request = bot.asks(45_000, capture="manual")
    await driver.submit(request)
    said = {"actor": f"agent:{agent}", "amount_minor": 1_000_000}
    part = signed(bot.key, request, "capture", said)
    await driver.handle(request).execute_update("capture", part, id="the agent's")
    for stranger in range(3):
        with suppress(WorkflowUpdateFailedError):
            await driver.handle(request).execute_update("capture", part, id=f"replay {stranger}")
    assert (await probe.authorization(request))["captured_minor"] == 1_000_000


async def test_two_parts_of_one_amount_are_signed_apart_and_both_captured(
    driver: Driver, probe: Probe, ledger: Database, new_agent: NewAgent
) -> None:
    agent = await new_agent()
    bot = Bot(agent, await registered(ledger, f"agent:{agent}"))
    request = bot.asks(45_000, capture="manual")
    await driver.submit(request)
    for name in ("one", "two", "two"):
        said = {"actor": f"agent:{agent}", "amount_minor": 1_000_000, "update_id": name}
        await driver.tell(request, "capture", signed(bot.key, request, "capture", said))
    assert (await probe.authorization(request))["captured_minor"] == 2_000_000
