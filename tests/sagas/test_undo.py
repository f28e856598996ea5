"""A compensated saga: what was started is undone, in reverse order of start, and only that."""

import asyncio
from contextlib import suppress
from itertools import product

import pytest
from temporalio.client import RPCError, WorkflowFailureError

from tests.sagas.conftest import Inject, Landed, NewAgent
from tests.support.driver import CBU, Driver, Json, payment, types_of, until_length
from tests.support.probe import Probe
from tests.support.until import until

CHANGED_MIND = {"actor": "user:u-18", "reason": "changed my mind"}


async def cancel(driver: Driver, request: Json, way: str) -> None:
    """By our update, or as anybody may in Temporal."""
    if way == "update":
        await driver.tell(request, "cancel", CHANGED_MIND)
    else:
        await driver.handle(request).cancel()


@pytest.mark.usefixtures("quick_heartbeat")
async def test_a_cancel_while_the_bank_is_busy_brings_the_money_back_or_stops_the_order_for_ever(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    async def pay_and_cancel(fault: str, way: str, actor: str) -> None:
        request = payment(agent, 10_000)
        await inject(request, fault, delay_ms=60_000)
        handle = await driver.start(request)
        await until(lambda: probe.step(request, "execute transfer"))
        arrived = fault == "slow_after"
        if arrived:
            await probe.until_booked(request)
        await cancel(driver, request, way)
        result = await handle.result()
        assert (result["state"], result["reason"]) == ("compensated", "cancelled")
        assert result["residuals"] == []
        end = "TransferReversed" if arrived else "TransferCancelled"
        assert await probe.is_booked_as(request, "reversed" if arrived else "cancelled")
        assert await probe.told(request, "transfer/%") == ["TransferStarted", end]
        undone = [end, "StepUndone", "AuthorizationCompensated", "StepUndone"]
        assert [it for it in await probe.told(request) if it in undone] == undone
        assert await probe.told_by(request, end) == actor

    ways = (("update", "user:u-18"), ("temporal", "system:temporal"))
    faults = ("slow_after", "slow")
    await asyncio.gather(*(pay_and_cancel(fault, *way) for fault in faults for way in ways))
    assert await probe.spent(agent) == (0, 0)


async def test_a_cancel_counts_whatever_the_bank_answers_before_anybody_could_stop_it(
    driver: Driver, probe: Probe, new_agent: NewAgent, landed: Landed
) -> None:
    async def pay_and_cancel(fault: str, way: str) -> None:
        request = payment(await new_agent(), 45_000)
        handle = await landed(request, fault, delay_ms=700)
        await cancel(driver, request, way)
        result = await handle.result()
        assert (result["state"], result["reason"]) == ("compensated", "cancelled")
        assert await probe.is_booked_as(request, "reversed")
        assert "AuthorizationCaptured" not in await probe.told(request)
        assert await probe.spent(request["agent_id"]) == (0, 0)
        # If nobody knows what the bank did, it does not pause to look it up: that is for the undo.
        assert "TIMER_STARTED" not in await types_of(handle)

    cases = product(("slow_after", "timeout_after"), ("update", "temporal"))
    await asyncio.gather(*(pay_and_cancel(*case) for case in cases))


@pytest.mark.parametrize("pesos", [45_000, 55_000])
async def test_a_cancel_while_the_spend_is_being_reserved_gives_it_back(
    driver: Driver, probe: Probe, agent: str, pesos: int
) -> None:
    request = payment(agent, pesos)
    async with probe.locking("SELECT FROM ledger.agents WHERE agent_id = %s FOR UPDATE", agent):
        handle = await driver.start(request)
        await until(probe.someone_waits)
        await handle.cancel()
    result = await handle.result()
    assert result["state"] in ("voided", "compensated")
    assert result["reason"] == "cancelled"
    assert await probe.spent(agent) == (0, 0)
    assert not await probe.is_booked_as(request, "executed")


async def test_an_undo_that_fails_is_tried_again_until_it_is_done(
    probe: Probe, agent: str, inject: Inject, landed: Landed
) -> None:
    async def pay_and_cancel(fault: str) -> None:
        request = payment(agent, 10_000)
        await inject(request, fault, operation="reverse")
        handle = await landed(request, "slow_after", delay_ms=700)
        await handle.cancel()
        assert (await handle.result())["state"] == "compensated"
        assert await probe.is_booked_as(request, "reversed")
        assert (await probe.told(request)).count("TransferReversed") == 1

    faults = ("timeout_before", "timeout_after", "answer_twice")
    await asyncio.gather(*(pay_and_cancel(fault) for fault in faults))
    assert await probe.spent(agent) == (0, 0)


async def test_an_undo_whose_commit_fails_is_tried_again_until_it_is_done(
    probe: Probe, agent: str, landed: Landed
) -> None:
    request = payment(agent, 45_000)
    async with probe.refusing(request, "TransferReversed"):
        handle = await landed(request, "slow_after", delay_ms=300)
        await handle.cancel()
        await until(lambda: probe.is_booked_as(request, "reversed"))
    assert (await handle.result())["state"] == "compensated"
    assert (await probe.told(request)).count("TransferReversed") == 1


async def test_a_transfer_of_somebody_else_under_our_key_is_never_reversed(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with probe.foreign_transfer(request, amount_minor=1, destination=CBU):
        result = await driver.run(request)
        assert await probe.is_booked_as(request, "executed")
    assert (result["state"], result["reason"]) == ("compensated", "provider_failed")
    residual = "execute transfer: the provider has another transfer under our key"
    assert result["residuals"] == [residual]
    assert await probe.spent(agent) == (0, 0)
    assert await probe.told(request, "transfer/%") == ["TransferStarted", "TransferRefused"]


async def test_a_refusal_that_only_the_undo_can_put_on_record_is_put_on_record(
    driver: Driver, probe: Probe, agent: str, landed: Landed
) -> None:
    request = payment(agent, 45_000)
    async with probe.refusing(request, "TransferRefused"):
        handle = await landed(request, "refuse", note="account closed")
        await driver.tell(request, "cancel", CHANGED_MIND)
    assert (await handle.result())["state"] == "compensated"
    assert (await probe.event(request, "TransferRefused"))["payload"]["reason"] == "account closed"


async def test_cancels_at_many_moments_leave_nothing_half_done(
    driver: Driver, probe: Probe, agent: str
) -> None:
    """Each payment is cancelled as soon as its history has so many events."""

    async def pay_and_cancel(events: int) -> str:
        handle = await driver.start(payment(agent, 1_000))
        await until_length(handle, events)
        with suppress(RPCError):  # it has ended
            await handle.cancel()
        try:
            return str((await handle.result())["state"])
        except WorkflowFailureError:
            return "failed"

    ends = await asyncio.gather(*(pay_and_cancel(events) for events in range(1, 21, 2)))
    assert set(ends) <= {"captured", "voided", "compensated", "failed"}
    captured = ends.count("captured")
    assert await probe.spent(agent) == (captured * 1_000, captured)
