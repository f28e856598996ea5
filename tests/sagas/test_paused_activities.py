"""A call that a person paused in Temporal while it ran gets an attempt beyond the most that it may
have: nothing happens twice, and the count of tries holds."""

import pytest

from activities import errors
from tests.sagas.conftest import Inject, Landed, Place
from tests.support.driver import Driver, payment
from tests.support.pausing import paused_while_running
from tests.support.probe import Probe
from tests.support.until import until

pytestmark = pytest.mark.usefixtures("quick_heartbeat", "one_try")


@pytest.fixture
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is tried once before its saga hears of it: `maximum_attempts` is 1."""
    monkeypatch.setattr(errors, "TRIES_AT_ONCE", 1)


async def test_a_payment_that_is_paused_while_the_bank_works_is_paid_once_at_its_second_try(
    driver: Driver, probe: Probe, agent: str, landed: Landed
) -> None:
    request = payment(agent, 45_000)
    handle = await landed(request, "slow_after", delay_ms=20_000)
    async with paused_while_running(driver.client, handle.id):
        pass
    assert (await handle.result())["state"] == "captured"
    assert await probe.deliveries(request) == 1
    await probe.told_once(request, "TransferExecuted")
    assert (await probe.step(request, "execute transfer"))["tries"] == 2


async def test_an_undo_counts_the_try_beyond_the_most_that_it_may_have(
    driver: Driver, probe: Probe, agent: str, inject: Inject, landed: Landed, place: Place
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "slow_after", operation="reverse", delay_ms=20_000)
    handle = await landed(request, "slow_after", delay_ms=500)
    await handle.cancel()
    await until(lambda: probe.is_booked_as(request, "reversed"))
    async with paused_while_running(driver.client, handle.id):
        await place.bank_gate.close()

    async def tried() -> int:
        return int((await driver.step(request, "execute transfer"))["tries"])

    try:
        assert await until(tried) == 2
    finally:
        await place.bank_gate.open()
    await handle.result()
    step = await probe.step(request, "execute transfer")
    assert (step["state"], step["undo_tries"] > 2) == ("undone", True)
    assert await probe.is_booked_as(request, "reversed")
    assert (await probe.told(request)).count("TransferReversed") == 1
