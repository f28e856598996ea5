"""What people and agents decide while a payment waits: approve, reject, capture, cancel."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import RPCError, WorkflowUpdateFailedError

from starter import Amends
from tests.sagas.books import Books, until
from tests.sagas.conftest import QUEUE, Inject
from tests.sagas.teller import (
    USER,
    Teller,
    payment,
    raw,
    registration,
    saga_of,
    until_history,
)

# The cancel is in the history before the worker sees the start.
DELAY = timedelta(seconds=1)
OTHER_USER = {"actor": "user:u-18", "reason": "too dear"}


async def test_a_rejected_payment_gives_its_spend_back(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 55_000)
    await teller.submit(request)
    answer = await teller.tell(request, "reject", OTHER_USER)
    assert answer["reason"] == "rejected"
    assert answer["state"] in ("compensating", "compensated")
    result = await teller.result(request)
    assert (result["state"], result["reason"], result["transfer_id"]) == (
        *("rejected", "rejected"),
        None,
    )
    event = await books.event(request, "AuthorizationRejected")
    assert (event["user_id"], event["payload"]["reason"]) == ("user:u-18", "too dear")
    assert await books.spent(agent) == (0, 0)
    assert await books.booked(request) is None
    saga = await books.saga(request)
    assert saga is not None
    assert saga["state"] == "compensated"


async def test_a_deadline_that_passes_gives_the_spend_back(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 55_000, approve_within="PT1S")
    result = await teller.run(request)
    assert (result["state"], result["reason"]) == ("expired", "approval_expired")
    assert await books.spent(agent) == (0, 0)
    requested = (await books.event(request, "AuthorizationRequested"))["timestamp"]
    expired = await books.event(request, "AuthorizationExpired")
    assert (expired["timestamp"] - requested).total_seconds() >= 1
    assert expired["user_id"] == "system:amends"


async def test_a_second_approval_is_refused_and_changes_nothing(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual")
    await teller.submit(request)
    await teller.tell(request, "approve")
    for verb in ("approve", "reject"):
        refusal = await teller.refusal(request, verb, OTHER_USER)
        assert refusal.type == "not_allowed"
        assert "approved and waits for capture" in refusal.message
    await teller.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert (await teller.result(request))["state"] == "captured"
    assert (await books.event(request, "AuthorizationApproved"))["user_id"] == "user:u-17"


async def test_of_two_approvals_at_once_one_counts(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual")
    await teller.submit(request)
    answers = await asyncio.gather(
        *(teller.tell(request, "approve", by) for by in (USER, OTHER_USER)),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, WorkflowUpdateFailedError)]
    assert len(refused) == 1
    await books.event(request, "AuthorizationApproved")
    await teller.tell(request, "cancel")
    assert (await teller.result(request))["state"] == "voided"


async def test_an_approval_after_the_rejection_comes_too_late(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 55_000)
    await teller.submit(request)
    await teller.tell(request, "reject")
    with pytest.raises((RPCError, WorkflowUpdateFailedError)):
        await teller.tell(request, "approve")
    assert (await teller.result(request))["state"] == "rejected"
    assert "AuthorizationApproved" not in await books.told(request)


async def test_nobody_but_a_user_approves(teller: Teller, agent: str) -> None:
    request = payment(agent, 55_000)
    await teller.submit(request)
    for actor, why in ((f"agent:{agent}", "not_allowed"), ("system:amends", "InvalidInput")):
        assert (await teller.refusal(request, "approve", {"actor": actor})).type == why
    assert (await teller.progress(request))["waits_for"] == "approval"
    await teller.tell(request, "reject")
    assert (await teller.result(request))["state"] == "rejected"


BAD = [
    ({}, "actor"),
    ({"actor": "canary"}, "actor"),
    ({"actor": "user:u-17", "reason": "canary" * 50}, "reason"),
    ({"actor": "user:u-17", "reason": "canary\u0000"}, "reason"),
    ({"actor": "user:u-17", "extra": "canary"}, "extra"),
    ("canary", "input"),
    (None, "input"),
    (raw(b"{canary"), "input"),
]


@pytest.mark.parametrize("update", ["approve", "reject", "capture", "cancel"])
async def test_an_update_with_bad_input_is_refused_and_the_saga_goes_on(
    teller: Teller, agent: str, update: str
) -> None:
    request = payment(agent, 45_000 if update == "capture" else 55_000, capture="manual")
    before = await teller.submit(request)
    for by, field in BAD:
        refusal = await teller.refusal(request, update, by)
        assert refusal.type == "InvalidInput"
        assert [problem["field"] for problem in refusal.details] == [field]
        assert "canary" not in refusal.message + str(refusal.details)
    assert await teller.progress(request) == before
    await teller.tell(request, "cancel")
    assert (await teller.result(request))["state"] == "voided"


async def test_an_update_that_does_not_exist_is_refused_and_the_saga_goes_on(
    teller: Teller, agent: str
) -> None:
    request = payment(agent, 55_000)
    await teller.submit(request)
    assert "aprove" in (await teller.refusal(request, "aprove")).message
    await teller.tell(request, "approve")
    assert (await teller.result(request))["state"] == "captured"


async def test_a_manual_capture_waits_for_the_agent(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 45_000, capture="manual")
    approved = await teller.submit(request)
    assert (approved["decision"], approved["waits_for"]) == ("approved", "capture")
    assert await books.booked(request) is None
    captured = await teller.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert captured["result"]["state"] == "captured"
    assert (await books.event(request, "TransferStarted"))["user_id"] == f"agent:{agent}"


async def test_captures_at_once_and_afterwards_are_one_transfer(
    teller: Teller, books: Books, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await teller.submit(request)
    await inject(request, "slow", delay_ms=200)
    by = {"actor": f"agent:{agent}"}
    answers = await asyncio.gather(*(teller.tell(request, "capture", by) for _ in range(8)))
    sdk = Amends(teller.client, {"AMENDS_PAYMENTS_QUEUE": QUEUE})
    later = await sdk.capture(saga_of(request), actor=by["actor"])
    assert later.result is not None
    transfers = {answer["result"]["transfer_id"] for answer in answers}
    assert transfers == {later.result["transfer_id"]}
    assert await books.deliveries(request) == 1


async def test_what_is_not_approved_is_not_captured(
    teller: Teller, books: Books, agent: str
) -> None:
    pending, denied = payment(agent, 55_000), payment(agent, 70_000)
    await teller.submit(pending)
    assert (await teller.refusal(pending, "capture")).type == "not_allowed"
    await teller.submit(denied)
    with pytest.raises((RPCError, WorkflowUpdateFailedError)):
        await teller.tell(denied, "capture")
    await teller.tell(pending, "reject")
    assert (await teller.result(pending))["state"] == "rejected"
    assert [await books.booked(request) for request in (pending, denied)] == [None, None]


async def test_a_capture_after_the_agent_was_revoked_is_refused(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await teller.submit(request)
    await teller.run(registration(agent, "revoke"))
    answer = await teller.tell(request, "capture", {"actor": f"agent:{agent}"})
    assert answer["result"]["state"] == "compensated"
    assert (await teller.result(request))["reason"] == "agent_revoked"
    assert await books.spent(agent) == (0, 0)
    assert await books.booked(request) is None


@pytest.mark.parametrize(("pesos", "waits_for"), [(55_000, "approval"), (45_000, "capture")])
async def test_a_payment_that_is_cancelled_while_it_waits_is_voided(
    teller: Teller, books: Books, agent: str, pesos: int, waits_for: str
) -> None:
    request = payment(agent, pesos, capture="manual")
    assert (await teller.submit(request))["waits_for"] == waits_for
    answer = await teller.tell(request, "cancel", OTHER_USER)
    assert answer["state"] in ("compensating", "compensated")
    result = await teller.result(request)
    assert (result["state"], result["reason"]) == ("voided", "cancelled")
    event = await books.event(request, "AuthorizationVoided")
    assert (event["user_id"], event["payload"]["reason"]) == ("user:u-18", "too dear")
    assert await books.spent(agent) == (0, 0)


async def test_temporals_own_cancel_undoes_too_however_often_it_comes(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 55_000)
    await teller.submit(request)
    for _ in range(3):
        await teller.handle(request).cancel()
    result = await teller.result(request)
    assert (result["state"], result["reason"]) == ("voided", "cancelled")
    assert (await books.event(request, "AuthorizationVoided"))["user_id"] == "system:temporal"
    assert await books.spent(agent) == (0, 0)


async def test_a_cancel_meets_a_decision_that_can_not_be_put_on_record(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 55_000)
    await teller.submit(request)
    async with books.refusing(request, "AuthorizationApproved"):
        approval = asyncio.create_task(teller.refusal(request, "approve"))
        # The step that fails leaves the workflow task after a while and waits on a timer.
        await until_history(teller.handle(request), "EVENT_TYPE_TIMER_STARTED", 2)
        await teller.handle(request).cancel()
        assert (await approval).type == "not_allowed"
    assert (await teller.result(request))["state"] == "voided"
    assert await books.spent(agent) == (0, 0)


async def test_a_cancel_before_anything_was_held_fails_the_saga(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 45_000)
    handle = await teller.start(request, start_delay=DELAY)
    await handle.cancel()
    failure = await teller.failure(handle)
    assert failure.type == "cancelled"
    assert await books.told(request) == ["SagaStarted", "SagaCompensating", "SagaFailed"]


async def test_a_cancel_past_the_pivot_is_refused_and_the_payment_is_settled(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with books.refusing(request, "AuthorizationCaptured"):
        handle = await teller.start(request)
        # The step that fails leaves the workflow task after a while and waits on a timer.
        await until_history(handle, "EVENT_TYPE_TIMER_STARTED")
        refusal = await teller.refusal(request, "cancel")
        await handle.cancel()
    assert refusal.type == "not_allowed"
    assert "past its pivot" in refusal.message
    assert (await teller.result(request))["state"] == "captured"


async def test_a_step_past_the_pivot_that_fails_is_shown_and_tried_again(
    teller: Teller, books: Books, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with books.refusing(request, "AuthorizationCaptured", sqlstate="22023"):
        await teller.start(request)

        async def is_shown() -> bool:
            return bool((await teller.progress(request))["waits_for"] == "settle")

        await until(is_shown)
        step = await teller.step(request, "settle")
        assert (step["state"], step["tries"]) == ("running", 3)
        assert step["detail"].startswith("PostgreSQL: InvalidParameterValue (22023); tried again")
        assert await books.is_booked_as(request, "executed")
    assert (await teller.result(request))["state"] == "captured"
    assert "SagaCompensating" not in await books.told(request)
