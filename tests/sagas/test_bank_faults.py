"""What the bank does wrong, and what becomes of the payment: never two transfers, never none."""

import asyncio
from datetime import datetime, timedelta

import pytest

from activities import transfers
from ledger.database import Database
from ledger.store.commit import database_time
from tests.sagas.books import Books, until
from tests.sagas.conftest import Inject, NewAgent, Place
from tests.sagas.teller import Teller, payment

MAX_CUTS = 3


async def test_a_refusal_of_the_bank_gives_the_spend_back(
    teller: Teller, books: Books, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "refuse", note="account closed")
    result = await teller.run(request)
    assert (result["state"], result["reason"]) == ("compensated", "provider_refused")
    assert (result["provider_reference"], result["residuals"]) == (None, [])
    assert await books.spent(agent) == (0, 0)
    assert await books.told(request, "authorization/%") == [
        "AuthorizationRequested",
        "AuthorizationApproved",
        "AuthorizationCaptureStarted",
        "AuthorizationCompensated",
    ]
    assert (await books.event(request, "TransferRefused"))["payload"]["reason"] == "account closed"
    assert (await teller.run(payment(agent, 50_000)))["state"] == "captured"


async def test_no_fault_of_the_bank_changes_what_happens(
    teller: Teller, books: Books, new_agent: NewAgent, inject: Inject
) -> None:
    async def pay(fault: str, deliveries: int) -> None:
        agent = await new_agent()
        request = payment(agent, 45_000)
        await inject(request, fault, delay_ms=20)
        assert (await teller.run(request))["state"] == "captured"
        assert await books.deliveries(request) == deliveries
        assert await books.told(request, "transfer/%") == ["TransferStarted", "TransferExecuted"]
        assert await books.spent(agent) == (45_000, 1)

    await asyncio.gather(
        pay("timeout_before", 1),
        pay("timeout_after", 1),
        pay("answer_twice", 2),
        pay("slow", 1),
        pay("slow_after", 1),
    )


async def test_a_bank_that_can_not_tell_is_asked_again_before_anything_is_sent_again(
    teller: Teller, books: Books, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_after")
    await inject(request, "timeout_before", operation="find")
    assert (await teller.run(request))["state"] == "captured"
    assert await books.deliveries(request) == 1


async def test_what_was_not_sent_in_time_is_never_sent(
    teller: Teller, books: Books, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = payment(agent, 45_000)
    monkeypatch.setattr(transfers, "SEND_WITHIN", timedelta(0))
    result = await teller.run(request)
    assert (result["state"], result["reason"]) == ("compensated", "provider_failed")
    assert await books.is_booked_as(request, "cancelled")
    assert await books.spent(agent) == (0, 0)


async def test_what_landed_counts_even_if_we_hear_of_it_after_the_time_to_send(
    teller: Teller,
    books: Books,
    agent: str,
    inject: Inject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_after", delay_ms=500)
    handle = await teller.start(request)
    await books.until_booked(request)

    async def tomorrow(database: Database) -> datetime:
        return await database_time(database) + timedelta(days=1)

    monkeypatch.setattr(transfers, "database_time", tomorrow)
    assert (await handle.result())["state"] == "captured"
    assert await books.deliveries(request) == 1


async def test_a_bank_that_is_down_is_waited_for(
    teller: Teller, books: Books, place: Place, agent: str
) -> None:
    request = payment(agent, 45_000)
    await place.bank_gate.close()
    try:
        handle = await teller.start(request)
        # The second attempt has begun: the first one was told that nothing was sent.
        await until(lambda: teller.attempts(handle, 2))
        assert await books.booked(request) is None
        assert await books.spent(agent) == (45_000, 1)
    finally:
        await place.bank_gate.open()
    assert (await handle.result())["state"] == "captured"
    assert await books.deliveries(request) == 1


async def test_an_order_that_lands_after_its_connection_was_cut_is_one_transfer(
    teller: Teller, books: Books, place: Place, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with books.bank_stands_still():
        handle = await teller.start(request)
        await until(books.an_order_waits)
        await place.bank_gate.close()
        await place.bank_gate.open()
        await until(lambda: teller.is_in(request, "resolving"))
    assert (await handle.result())["state"] == "captured"
    assert await books.told(request, "transfer/%") == ["TransferStarted", "TransferExecuted"]


async def test_connections_of_the_ledger_that_are_cut_again_and_again_do_no_harm(
    teller: Teller, books: Books, new_agent: NewAgent
) -> None:
    agents = [await new_agent() for _ in range(4)]
    requests = [payment(agent, 45_000) for agent in agents for _ in range(2)]
    running = asyncio.gather(*(teller.run(request) for request in requests))
    size, cuts = await books.size(), 0
    while not running.done():
        # Each cut hits somebody who has come further.
        if cuts < MAX_CUTS and await books.size() > size:
            await books.cut_connections()
            size, cuts = await books.size(), cuts + 1
        await asyncio.sleep(0)
    assert cuts > 1
    assert [result["state"] for result in await running] == ["captured"] * 8
    assert [await books.deliveries(request) for request in requests] == [1] * 8
    assert [await books.spent(agent) for agent in agents] == [(90_000, 2)] * 4
