"""The transfer of an adapter that can't reverse is the pivot: whatever comes while it is under way,
its outcome decides."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import Client

from activities import sending
from activities.adapters.bind.adapter import BindBank
from tests.bank.simulator import BindSimulator, Fault
from tests.sagas.bind_payments import BindPayments, check
from tests.sagas.cancellation import (
    ANSWERS,
    BEFORE,
    LOST,
    TASK,
    Act,
    Stops,
    cancel_what_hears,
    end_of,
)
from tests.sagas.conftest import GATED, NewAgent, NewWorker, Place, working_for
from tests.sagas.sweeping import Sweeper, end
from tests.support.activity_gates import Gates
from tests.support.driver import USER, Driver, Handle, Json, new_id, saga_of
from tests.support.probe import Probe
from tests.support.replaying import RECORD, record, replay
from tests.support.until import until
from worker.embedded.servers import EmbeddedServers
from workflows.contract.admission import DATA_CONVERTER

QUEUE = "sagas-bind"
# A reply that never comes, and looks that tell nothing until they are healed.
SILENT = Fault("find", cut="drop", times=1_000)
MOMENTS = ("while the order is on its way", "while its outcome is in doubt")
FATES = {
    "it landed": Fault(when="after"),
    "it did not land": Fault(),
    "it lands late": Fault(held=True),
}
WAYS = ("update", "temporal")
RECORDED = {
    (MOMENTS[0], "it landed", "temporal"): "payment-cancelled-at-its-pivot",
    (MOMENTS[1], "it did not land", "update"): "payment-withdrawn-at-its-pivot",
}
ENDS = {BEFORE: ("voided", 0), LOST: ("captured", 1), ANSWERS: ("captured", 1)}


@pytest.fixture(scope="module")
async def bank() -> AsyncIterator[BindSimulator]:
    async with BindSimulator() as running:
        yield running


@pytest.fixture(scope="module")
def at_bind(bank: BindSimulator) -> dict[str, str]:
    """The settings of a worker that pays at the simulator."""
    given = bank.settings() | {"AMENDS_BIND_LOOK_AGAIN": "PT0.1S"}
    return {name.removeprefix("AMENDS_").lower(): text for name, text in given.items()}


@pytest.fixture(scope="module")
async def working(place: Place, client: Client, at_bind: dict[str, str]) -> AsyncIterator[None]:
    async with working_for(client, place, QUEUE, **at_bind):
        yield


@pytest.fixture
async def driver(
    client: Client, probe: Probe, bank: BindSimulator, working: None
) -> AsyncIterator[Driver]:
    yield Driver(client, QUEUE)
    await check(probe, bank)


@pytest.fixture
async def gated_at_bind(
    servers: EmbeddedServers, place: Place, gates: Gates, at_bind: dict[str, str]
) -> AsyncIterator[Client]:
    """A client of a worker that pays at the simulator, whose activities are behind gates."""
    address = servers.temporal.address
    client = await Client.connect(address, data_converter=DATA_CONVERTER, interceptors=[gates])
    async with working_for(client, place, GATED, **at_bind):
        yield client
        gates.open()


@pytest.fixture
def payments(
    driver: Driver, probe: Probe, bank: BindSimulator, new_agent: NewAgent
) -> BindPayments:
    return BindPayments(driver, probe, bank, new_agent)


@pytest.fixture
def soon_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to send is short, and absence is believed soon after it."""
    monkeypatch.setattr(sending, "SEND_WITHIN", timedelta(seconds=6))
    monkeypatch.setattr(sending, "ABSENT_AFTER", timedelta(seconds=2))
    monkeypatch.setattr(sending, "MARGIN_S", 0.1)


async def replays(handle: Handle, name: str | None) -> None:
    """The history of a run replays, as the saved one of its kind does (tests/sagas/test_replay.py).
    `AMENDS_RECORD_HISTORIES=1 pytest tests/sagas/test_pivot.py` saves it."""
    history = await handle.fetch_history()
    await replay(handle.id, history)
    if name and RECORD in os.environ:
        record(name, history)


async def cancel(handle: Handle, way: str) -> None:
    if way == "temporal":
        await handle.cancel()
    else:
        # It answers while nobody knows the outcome yet.
        assert (await handle.execute_update("cancel", USER))["state"] != "compensating"


async def under_way(payments: BindPayments, moment: str, fate: str) -> Json:
    """A payment whose order was sent, and of which nobody has heard since."""
    on_its_way = moment == MOMENTS[0]
    sent = FATES[fate]
    fault = Fault(when=sent.when, held=sent.held, cut="hang" if on_its_way else "drop")
    request = await payments.new(fault, SILENT)
    await payments.driver.start(request)
    await payments.until_sent(request)
    if not on_its_way:
        await payments.until_in(request, "resolving")
    return request


async def is_not_believed(payments: BindPayments, request: Json) -> bool:
    step = await payments.driver.step(request, "execute transfer")
    return "may still get it" in (step.get("detail") or "")


@pytest.mark.usefixtures("quick_heartbeat", "soon_absent")
async def test_a_cancel_never_undoes_a_transfer_that_landed_or_may_land(
    payments: BindPayments,
) -> None:
    async def play(moment: str, fate: str, way: str) -> None:
        request = await under_way(payments, moment, fate)
        handle = payments.driver.handle(request)
        await cancel(handle, way)
        await payments.until_in(request, "resolving")
        assert not await payments.probe.has_told(request, "SagaCompensating")
        payments.bank.heal(payments.origin(request))
        if fate != "it landed":
            # BIND says that there is no such transfer, and is not believed yet.
            await until(lambda: is_not_believed(payments, request), 0.05)
            payments.bank.release(payments.origin(request))
        result = await handle.result()
        landed = fate != "it did not land"
        ends = (result["state"], result["reason"], payments.paid(request))
        assert ends == (("captured", None, 1) if landed else ("compensated", "cancelled", 0))
        # Whoever cancelled wants no second order.
        assert payments.bank.seen.count(("transfer", payments.origin(request))) == 1
        spent = (45_000, 1) if landed else (0, 0)
        assert await payments.probe.spent(request["agent_id"]) == spent
        await replays(handle, RECORDED.get((moment, fate, way)))

    async with asyncio.TaskGroup() as group:
        for moment in MOMENTS:
            for fate in FATES:
                for way in WAYS:
                    group.create_task(play(moment, fate, way))


async def test_a_doubt_waits_as_long_as_the_provider_says(
    payments: BindPayments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MARGIN_S", 1_000.0)
    request = await under_way(payments, MOMENTS[1], "it did not land")
    handle = payments.driver.handle(request)
    await cancel(handle, "update")
    payments.bank.heal(payments.origin(request))
    await until(lambda: is_not_believed(payments, request), 0.05)
    detail = (await payments.driver.step(request, "execute transfer"))["detail"]
    assert float(detail.split()[-2]) >= 1_000
    await end(handle)


async def test_a_cancel_at_the_activity_of_the_transfer_asks_the_record_whether_it_began(
    payments: BindPayments, gated_at_bind: Client, stops: Stops
) -> None:
    """Before the activity begins nothing is on record, and nothing is sent; after it, the transfer
    is, although the saga has not heard of it."""
    driver = Driver(gated_at_bind, GATED)

    async def play(column: str, way: str) -> None:
        request = await payments.new()
        act = Act("execute_transfer execute transfer")
        stand = await stops.at(saga_of(request), act, column)
        handle = await driver.start(request, task_timeout=TASK)
        canceller = await cancel_what_hears(handle, stand, [way])
        assert (await end_of(handle), payments.paid(request)) == ENDS[column]
        assert await canceller.answers() <= {"accepted", "ended"}

    async with asyncio.TaskGroup() as group:
        for column in ENDS:
            for way in WAYS:
                group.create_task(play(column, way))


async def test_a_cancel_before_the_order_is_sent_compensates(
    payments: BindPayments,
) -> None:
    driver = payments.driver
    request = {**await payments.new(), "capture": "manual"}
    handle = await driver.until_waits(request, "capture")
    assert (await driver.tell(request, "cancel"))["state"] in ("compensating", "compensated")
    assert (await handle.result())["state"] == "voided"
    assert payments.paid(request) == 0


@pytest.mark.usefixtures("quick_heartbeat")
@pytest.mark.parametrize("fate", ["it landed", "it lands late"])
async def test_a_lost_run_is_carried_forward_to_the_outcome(
    payments: BindPayments, fate: str
) -> None:
    request = await under_way(payments, MOMENTS[1], fate)
    await end(payments.driver.handle(request))
    payments.bank.release(payments.origin(request))
    payments.bank.heal(payments.origin(request))
    sweeper = Sweeper(payments.driver.client, f"{QUEUE}-sweep", payments.probe)
    assert (await sweeper.recover(request))["state"] == "captured"
    assert payments.paid(request) == 1
    assert not await payments.probe.has_told(request, "SagaCompensating")


@pytest.mark.parametrize(("outcome", "ends"), [("done", "captured"), ("failed", "compensated")])
async def test_what_bind_will_never_know_a_person_resolves(
    payments: BindPayments, outcome: str, ends: str
) -> None:
    last = "COMPLETED" if outcome == "done" else "FAILED"
    request = await payments.new(Fault(statuses=("UNKNOWN_FOREVER", "UNKNOWN_FOREVER", last)))
    handle = await payments.driver.start(request)
    # At once, not after the hour that other doubts may take.
    await payments.until_in(request, "needs_attention")
    # The operator is told which transfer to ask for.
    step = await payments.driver.step(request, "execute transfer")
    assert payments.origin(request) in step["detail"]
    facts = (await payments.probe.step(request, "execute transfer"))["facts"]
    known = {"adapter": "bind", "known_as": payments.origin(request), "final": True}
    assert facts == known | {"account": facts["account"]}
    told = {**USER, "step": "execute transfer", "outcome": outcome, "evidence": "ticket 7"}
    # A cancel does not decide in the person's place.
    await payments.driver.tell(request, "cancel")
    await payments.until_in(request, "needs_attention")
    await payments.driver.tell(request, "resolve", told)
    assert (await handle.result())["state"] == ends


async def test_an_adapter_leaves_alone_what_another_one_began(payments: BindPayments) -> None:
    request = await under_way(payments, MOMENTS[1], "it landed")

    handle = payments.driver.handle(request)

    async def waits_for_its_adapter() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any("AMENDS_PAYMENT_ADAPTER=bind" in it.last_failure.message for it in pending)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BindBank, "name", "another")
        payments.bank.heal(payments.origin(request))
        await until(waits_for_its_adapter, 0.02)
    assert (await handle.result())["state"] == "captured"
    assert payments.paid(request) == 1


async def test_a_worker_that_is_killed_while_the_order_is_on_its_way_pays_once(
    payments: BindPayments, new_worker: NewWorker
) -> None:
    queue = new_id("bind-killed")
    driver = replace(payments.driver, queue=queue)
    landed = await payments.new(Fault(cut="hang", when="after"))
    unsent = await payments.new(Fault(cut="hang"))
    # Its settings come from the environment, as those of every worker.
    async with new_worker(queue, **payments.bank.settings()) as worker:
        await worker.start()
        handles = [await driver.start(each) for each in (landed, unsent)]
        for each in (landed, unsent):
            await payments.until_sent(each)
        await worker.kill()
        await worker.start()
        assert [(await it.result())["state"] for it in handles] == ["captured", "captured"]
        assert await worker.stop() == 0
    assert [payments.paid(each) for each in (landed, unsent)] == [1, 1]
    assert payments.bank.seen.count(("transfer", payments.origin(landed))) == 1
