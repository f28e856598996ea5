"""The soak in its short form: `make soak` is the long one, which looks at the memory as well."""

import pytest

from activities.adapters.mock import MockBank
from tests.sagas.conftest import Place
from tests.soak.run import Ground, Plan, soak
from tests.soak.troubles import TROUBLES
from tests.support.driver import Driver, new_id
from tests.support.probe import Probe
from worker.embedded.servers import EmbeddedServers
from worker.settings import needed


@pytest.mark.timeout(300)
async def test_payments_in_every_trouble_end_right_while_a_worker_is_killed(
    driver: Driver, probe: Probe, bank: MockBank, place: Place, servers: EmbeddedServers
) -> None:
    queue = new_id("soak")
    environment = servers.environment() | {
        "AMENDS_DATABASE_URL": needed(place.settings.database_url, "AMENDS_DATABASE_URL"),
        "AMENDS_MOCK_BANK_URL": place.bank_url,
        "AMENDS_PAYMENTS_QUEUE": queue,
    }
    plan = Plan(sagas=2 * len(TROUBLES), at_once=25, kills=1, trouble_every=2)
    ground = Ground(environment, Driver(driver.client, queue), probe, bank, {})
    soaked = await soak(ground, plan)
    assert set(soaked.ends) == {"none", *(trouble.name for trouble in TROUBLES)}
    assert (soaked.ended, soaked.kills) == (plan.sagas, 1)
    assert soaked.broken == []
