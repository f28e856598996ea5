"""A worker on the queues of the contract, and a client of another language."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from psycopg import conninfo
from temporalio.client import Client

from activities.adapters.mock import MockBank
from tests.foreign.foreign import Foreign, compile_in, compiled, foreign_client, missing
from tests.support.closing import until_the_core_has_left
from tests.support.driver import Driver, new_id, policy, registration
from tests.support.probe import Probe
from worker.embedded.databases import clone_database
from worker.embedded.servers import EmbeddedServers
from worker.process import migrate, work
from worker.settings import Settings
from worker.wiring import wire
from workflows.contract.admission import DATA_CONVERTER
from workflows.contract.kinds import PAYMENTS

LEDGER, BANK = "foreign_ledger", "foreign_bank"


@pytest.fixture(scope="session")
async def environment(servers: EmbeddedServers) -> dict[str, str]:
    """The settings of a client of an empty ledger and bank, with the queues of the contract."""
    for name, owner in ((LEDGER, "amends_owner"), (BANK, "mock_bank")):
        await clone_database(servers.main.url(), "template1", name, owner)
    return {
        **servers.environment(),
        "AMENDS_DATABASE_URL": servers.ledger_url("amends_worker", LEDGER),
        "AMENDS_MIGRATION_URL": servers.ledger_url("amends_owner", LEDGER),
        "AMENDS_AUDIT_URL": servers.ledger_url("amends_auditor", LEDGER),
        "AMENDS_MOCK_BANK_URL": servers.mock_bank_url(BANK),
    }


@pytest.fixture(scope="session")
async def client(servers: EmbeddedServers) -> Client:
    return await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)


@pytest.fixture(scope="session")
async def working(environment: dict[str, str], client: Client) -> AsyncIterator[None]:
    """The worker, wired as it is in production, in this process."""
    settings = Settings.from_environment(environment)
    await migrate(settings)
    stop = asyncio.Event()
    async with wire(settings, client) as running:
        task = asyncio.create_task(work(running.workers, stop))
        yield
        stop.set()
        await task
    await until_the_core_has_left()


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """The folder in which the programs of another language are compiled."""
    if told := missing():
        pytest.skip(told)
    with compiled() as folder:
        yield folder


@pytest.fixture(scope="session")
async def node(programs: Path, servers: EmbeddedServers) -> AsyncIterator[Foreign]:
    await compile_in(programs)
    async with foreign_client(programs, servers.temporal.address) as running:
        yield running


@pytest.fixture(scope="session")
def records(environment: dict[str, str], servers: EmbeddedServers) -> Probe:
    superuser = conninfo.make_conninfo(servers.main.url(), dbname=LEDGER)
    return Probe(environment["AMENDS_AUDIT_URL"], environment["AMENDS_MOCK_BANK_URL"], superuser)


@pytest.fixture
async def probe(records: Probe, working: None) -> AsyncIterator[Probe]:
    """What is on record; whatever the test did, ledger and bank agree afterwards."""
    yield records
    await records.check()


@pytest.fixture
def foreign(node: Foreign, probe: Probe) -> Foreign:
    """The client of another language, with a worker behind it."""
    return node


@pytest.fixture
def driver(client: Client, probe: Probe) -> Driver:
    """A client of our own language, for what no client does."""
    return Driver(client, PAYMENTS.default)


@pytest.fixture
async def bank(environment: dict[str, str], working: None) -> AsyncIterator[MockBank]:
    """The bank's own counter: for its faults."""
    async with MockBank(environment["AMENDS_MOCK_BANK_URL"]) as bank:
        yield bank


@pytest.fixture
async def agent(driver: Driver) -> str:
    """An agent with the policy of the requirements that has spent nothing."""
    name = new_id("bot")
    await driver.run(registration(name))
    await driver.run(policy(name))
    return name
