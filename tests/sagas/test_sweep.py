"""Runs that Temporal lost, by where the saga was: it is found, and carried to its end."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateStage
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from tests.sagas.books import Books, until
from tests.sagas.conftest import SWEEP_QUEUE, Inject
from tests.sagas.sweeping import Sweeper, end, forget, lost, waiting
from tests.sagas.teller import Json, Teller, payment, policy, saga_of, until_waits_for

ACCEPTED = WorkflowUpdateStage.ACCEPTED


@pytest.fixture
def sweeper(teller: Teller, books: Books) -> Sweeper:
    return Sweeper(teller.client, SWEEP_QUEUE, books)


async def told_once(books: Books, request: Json, *event_types: str) -> None:
    """Each of these stands exactly once in the log."""
    told = await books.told(request)
    assert {event_type: told.count(event_type) for event_type in event_types} == dict.fromkeys(
        event_types, 1
    )


async def test_terminated_while_it_waits_for_approval(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(teller, agent)
    result = await sweeper.recover(request)
    assert (result["state"], result["reason"]) == ("compensated", "lost_run")
    assert await books.spent(agent) == (0, 0)
    await told_once(
        *(books, request),
        *("SagaLost", "SagaCompensating", "SagaTakenOver", "AuthorizationCompensated"),
    )
    found = await books.event(request, "SagaLost")
    assert (found["user_id"], found["payload"]["found"]) == ("system:amends", "terminated")
    # It has the workflow id of the saga: whoever asks finds the answer there, and whoever repeats
    # the request gets it.
    assert await teller.result(request) == result
    assert await teller.run(request) == result


@pytest.mark.usefixtures("quick_heartbeat")
async def test_terminated_after_the_bank_did_the_work_and_before_it_answered(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "slow_after", delay_ms=2_000)
    handle = await teller.start(request)
    await books.until_booked(request)
    await end(handle)
    assert (await sweeper.recover(request))["state"] == "compensated"
    assert await books.is_booked_as(request, "reversed")
    await told_once(books, request, "TransferReversed", "AuthorizationCompensated")
    assert await books.spent(agent) == (0, 0)


async def test_terminated_before_the_bank_did_the_work(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "slow", delay_ms=1_500)
    handle = await teller.start(request)
    await until(lambda: books.step(request, "execute transfer"))
    await end(handle)
    assert (await sweeper.recover(request))["state"] == "compensated"
    # The order that was under way arrives late: the bank refuses its key, the fence its commit.
    await until(lambda: books.has_told(request, "SagaCommitRefused"))
    assert await books.is_booked_as(request, "cancelled")
    await told_once(books, request, "TransferCancelled")


async def test_terminated_past_the_pivot_it_goes_forward(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with sweeper.losing(request, "AuthorizationCaptured"):
        await teller.start(request)
    assert (await sweeper.recovered(request))["state"] == "captured"
    await told_once(books, request, "SagaLost", "TransferExecuted", "AuthorizationCaptured")
    assert "SagaCompensating" not in await books.told(request)
    assert await books.deliveries(request) == 1
    assert await books.spent(agent) == (45_000, 1)


async def test_a_policy_that_was_set_is_not_taken_back(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = policy(agent)
    async with sweeper.losing(request, "SagaCompleted"):
        await teller.start(request)
    assert (await sweeper.recovered(request))["state"] == "set"
    await told_once(books, request, "SagaLost", "PolicySet", "SagaCompleted")


async def test_terminated_during_the_undo_it_goes_on_with_it_and_the_first_cause_stands(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await waiting(teller, agent)
    handle = teller.handle(request)
    async with sweeper.losing(request, "AuthorizationRejected"):
        await handle.start_update("reject", {"actor": "user:u-17"}, wait_for_stage=ACCEPTED)
    assert (await sweeper.recovered(request, epoch=2))["state"] == "rejected"
    await told_once(books, request, "SagaLost", "SagaCompensating", "AuthorizationRejected")


async def test_terminated_while_its_outcome_was_looked_up(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_after")
    await inject(request, "timeout_before", operation="find", remaining=3)
    handle = await teller.start(request)
    await until(lambda: books.has_told(request, "StepLeftUnknown"))
    await end(handle)
    assert (await sweeper.recover(request))["state"] == "compensated"
    assert await books.is_booked_as(request, "reversed")
    assert await books.deliveries(request) == 1


async def test_a_run_that_timed_out(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = payment(agent, 55_000)
    # We set no such limit, and can't forbid a client to.
    handle = await teller.start(request, run_timeout=timedelta(seconds=1))
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert (await sweeper.recover(request))["reason"] == "lost_run"
    assert (await books.event(request, "SagaLost"))["payload"]["found"] == "timed_out"


async def test_a_run_whose_history_was_deleted(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(teller, agent)
    await forget(teller.client, saga_of(request))
    assert (await sweeper.recover(request))["state"] == "compensated"
    assert (await books.event(request, "SagaLost"))["payload"]["found"] == "not_found"


async def test_two_sweeps_at_once_recover_it_once(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    wanted = ["approval", *["capture"] * 4]
    requests = await asyncio.gather(*(lost(teller, agent, what) for what in wanted))
    await asyncio.gather(*(sweeper.sweep() for _ in range(3)))
    for request in requests:
        assert (await sweeper.recovery(saga_of(request)).result())["how"] == "recovered"
        await told_once(books, request, "SagaLost", "SagaTakenOver", "AuthorizationCompensated")
    assert await books.spent(agent) == (0, 0)


async def test_a_saga_that_lives_is_left_alone(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await waiting(teller, agent)
    assert await sweeper.leaves(request)
    await teller.tell(request, "approve")
    assert (await teller.result(request))["state"] == "captured"


async def test_a_saga_that_a_client_has_just_started_again_is_the_clients(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(teller, agent)
    async with books.refusing(request, "SagaTakenOver") as is_kept_waiting:
        second = await teller.start(request)
        await until(is_kept_waiting)
        assert await sweeper.leaves(request)
    await until_waits_for(second, "approval")
    assert await sweeper.leaves(request)
    await teller.tell(request, "approve")
    assert (await second.result())["state"] == "captured"
    assert "SagaLost" not in await books.told(request)


async def test_a_client_that_comes_while_it_is_recovered_is_told_to_follow(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(teller, agent)
    async with sweeper.recovering(request):
        with pytest.raises(WorkflowAlreadyStartedError):
            await teller.start(request)
        submitted = asyncio.create_task(teller.submit(request))
        await until(lambda: books.has_told(request, "SagaDuplicateReceived"))
        assert await sweeper.leaves(request)
    assert (await submitted)["result"]["reason"] == "lost_run"
    assert (await teller.result(request))["state"] == "compensated"
    await told_once(books, request, "SagaTakenOver", "AuthorizationCompensated")


async def test_a_client_that_ends_the_recovering_run_goes_on_with_the_undo(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(teller, agent)
    async with sweeper.recovering(request):
        policy = WorkflowIDConflictPolicy.TERMINATE_EXISTING
        third = await teller.start(request, id_conflict_policy=policy)
    assert (await third.result())["reason"] == "lost_run"
    await told_once(books, request, "SagaLost", "SagaCompensating", "AuthorizationCompensated")
    failure = await teller.failure(sweeper.recovery(saga_of(request)))
    assert failure.type == "still_open"


async def test_a_client_and_a_sweep_at_the_same_moment(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    requests = await asyncio.gather(*(lost(teller, agent, "capture") for _ in range(8)))
    await asyncio.gather(
        *(teller.submit(request) for request in requests[:4]),
        *(sweeper.sweep() for _ in range(2)),
        *(teller.submit(request) for request in requests[4:]),
    )
    for request in requests:
        told = await books.told(request)
        # Either of them has it, and where both have seen it, the loss stands.
        if "SagaLost" in told:
            assert (await teller.result(request))["reason"] == "lost_run"
        else:
            await teller.tell(request, "cancel")
            assert (await teller.result(request))["state"] == "voided"
        await told_once(books, request, "SagaTakenOver", "SagaCompensating", "SagaCompensated")
    assert await books.spent(agent) == (0, 0)


async def test_a_recovering_run_that_is_terminated_too_is_found_by_the_next_sweep(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(teller, agent)
    async with sweeper.recovering(request):
        await end(teller.handle(request))
        with pytest.raises(WorkflowFailureError):
            await sweeper.recovery(saga_of(request)).result()
        saga = await books.saga(request)
        assert saga is not None
        await sweeper.find(request)
    assert (await sweeper.recovered(request, saga["epoch"]))["state"] == "compensated"
    await told_once(books, request, "SagaCompensating", "AuthorizationCompensated")
    assert (await books.told(request)).count("SagaLost") == 2


async def test_the_saga_goes_on_when_its_recovery_is_terminated(
    teller: Teller, books: Books, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(teller, agent)
    async with sweeper.recovering(request):
        await end(sweeper.recovery(saga_of(request)))
    assert (await teller.result(request))["state"] == "compensated"
    await told_once(books, request, "SagaLost", "SagaTakenOver", "AuthorizationCompensated")
