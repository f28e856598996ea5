"""What the bank does wrong, and what becomes of the payment: never two transfers, never none."""

import asyncio
import logging
from datetime import datetime, timedelta

import pytest
from psycopg import conninfo

from activities import sending
from ledger.database import Database
from ledger.store.commit import database_time
from ledger.words import MOST_RECORDED
from tests.sagas.conftest import Inject, Landed, NewAgent, Place
from tests.support.driver import CBU, Driver, payment
from tests.support.plain_text import plain_text
from tests.support.probe import Probe
from tests.support.until import until

MAX_CUTS = 3


async def test_a_refusal_of_the_bank_gives_the_spend_back(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "refuse", note="account closed".ljust(70_000, "."))
    result = await driver.run(request)
    assert (result["state"], result["reason"]) == ("compensated", "provider_refused")
    assert (result["provider_reference"], result["residuals"]) == (None, [])
    assert await probe.spent(agent) == (0, 0)
    told = ["Requested", "Approved", "CaptureStarted", "Compensated"]
    assert await probe.told(request, "authorization/%") == [f"Authorization{it}" for it in told]
    told = (await probe.event(request, "TransferRefused"))["payload"]["reason"]
    assert told == "account closed".ljust(MOST_RECORDED - 1, ".") + "…"
    assert (await driver.run(payment(agent, 50_000)))["state"] == "captured"


async def test_no_fault_of_the_bank_changes_what_happens(
    driver: Driver, probe: Probe, new_agent: NewAgent, inject: Inject
) -> None:
    async def pay(fault: str, deliveries: int) -> None:
        agent = await new_agent()
        request = payment(agent, 45_000)
        await inject(request, fault, delay_ms=20)
        assert (await driver.run(request))["state"] == "captured"
        assert await probe.deliveries(request) == deliveries
        assert await probe.told(request, "transfer/%") == ["TransferStarted", "TransferExecuted"]
        # What never arrived is sent after the bank has said so.
        unknown = ["StepLeftUnknown"] if fault.startswith("timeout") else []
        told = await probe.told(request, "step/%/execute transfer")
        assert told == ["StepStarted", *unknown, "StepDone"]
        assert await probe.spent(agent) == (45_000, 1)

    once = ("timeout_before", "timeout_after", "slow", "slow_after")
    await asyncio.gather(pay("answer_twice", 2), *(pay(fault, 1) for fault in once))


async def test_no_credential_is_told_anywhere_and_an_account_number_in_payloads_alone(
    driver: Driver,
    probe: Probe,
    place: Place,
    new_agent: NewAgent,
    inject: Inject,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # As a worker logs.
    caplog.set_level(logging.INFO)
    urls = [place.settings.database_url, place.settings.mock_bank_url, place.superuser_url]
    given = [conninfo.conninfo_to_dict(url).get("password") for url in urls if url]
    secrets = [str(password) for password in given if password]
    assert len(secrets) > 1
    requests = [payment(await new_agent(), 45_000) for _ in range(4)]
    faults = ("refuse", "timeout_before", "timeout_after", "slow")
    for request, fault in zip(requests, faults, strict=True):
        await inject(request, fault, note=f"the account {CBU} is closed")
    await inject(requests[1], "timeout_before", operation="find")
    for request in requests:
        await driver.run(request)
    async with probe.bank_stands_still():
        # A bank that does not answer at all, and a database that refuses.
        monkeypatch.setattr(sending, "ATTEMPT", timedelta(seconds=0.5))
        stuck = payment(await new_agent(), 45_000)
        handle = await driver.start(stuck)
        await until(lambda: driver.is_in(stuck, "resolving"))
    async with probe.refusing(stuck, "AuthorizationCaptured") as has_refused:
        await until(has_refused)
    await handle.result()
    whole, plain = "", caplog.text
    for request in (*requests, stuck):
        history = await driver.handle(request).fetch_history()
        whole += "".join(event.SerializeToString().decode("latin1") for event in history.events)
        plain += "".join(plain_text(event) for event in history.events)
        plain += plain_text((await driver.handle(request).describe()).raw_description)
    assert CBU in whole
    whole += plain + str(await probe.ledger("SELECT * FROM ledger.event_log"))
    assert [secret for secret in secrets if secret in whole] == []
    assert CBU not in plain


async def test_what_was_not_sent_in_time_is_never_sent(
    driver: Driver, probe: Probe, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = payment(agent, 45_000)
    monkeypatch.setattr(sending, "SEND_WITHIN", timedelta(0))
    result = await driver.run(request)
    assert (result["state"], result["reason"]) == ("compensated", "provider_failed")
    assert await probe.is_booked_as(request, "cancelled")
    assert await probe.spent(agent) == (0, 0)


async def test_what_landed_counts_even_if_we_hear_of_it_after_the_time_to_send(
    probe: Probe, agent: str, landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = payment(agent, 45_000)
    handle = await landed(request, "timeout_after", delay_ms=500)

    async def tomorrow(database: Database) -> datetime:
        return await database_time(database) + timedelta(days=1)

    monkeypatch.setattr(sending, "database_time", tomorrow)
    assert (await handle.result())["state"] == "captured"
    assert await probe.deliveries(request) == 1


async def test_a_bank_that_is_down_is_waited_for(
    driver: Driver, probe: Probe, place: Place, agent: str
) -> None:
    request = payment(agent, 45_000)
    await place.bank_gate.close()
    try:
        handle = await driver.start(request)
        # The second attempt has begun: the first one was told that nothing was sent.
        await until(lambda: driver.attempts(handle, 2))
        assert await probe.booked(request) is None
        assert await probe.spent(agent) == (45_000, 1)
    finally:
        await place.bank_gate.open()
    assert (await handle.result())["state"] == "captured"
    assert await probe.deliveries(request) == 1


async def test_an_order_that_lands_after_its_connection_was_cut_is_one_transfer(
    driver: Driver, probe: Probe, place: Place, agent: str
) -> None:
    request = payment(agent, 45_000)
    async with probe.bank_stands_still():
        handle = await driver.start(request)
        await until(probe.an_order_waits)
        await place.bank_gate.close()
        await place.bank_gate.open()
        await until(lambda: driver.is_in(request, "resolving"))
    assert (await handle.result())["state"] == "captured"
    assert await probe.told(request, "transfer/%") == ["TransferStarted", "TransferExecuted"]


async def test_connections_of_the_ledger_that_are_cut_again_and_again_do_no_harm(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    agents = [await new_agent() for _ in range(4)]
    requests = [payment(agent, 45_000) for agent in agents for _ in range(2)]
    running = asyncio.gather(*(driver.run(request) for request in requests))
    size, cuts = await probe.size(), 0
    while not running.done():
        # Each cut hits somebody who has come further.
        if cuts < MAX_CUTS and await probe.size() > size:
            await probe.cut_connections()
            size, cuts = await probe.size(), cuts + 1
        await asyncio.sleep(0)
    assert cuts > 1
    assert [result["state"] for result in await running] == ["captured"] * 8
    assert [await probe.deliveries(request) for request in requests] == [1] * 8
    assert [await probe.spent(agent) for agent in agents] == [(90_000, 2)] * 4
