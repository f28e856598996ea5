"""A worker for changes and rollbacks in this process, on a ledger of its own and a real target."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import count

import pytest
from temporalio.client import Client

from activities.providers.postgres.provider import PostgresProvider
from activities.resources import ResourceActivities
from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from ledger.audit.verify import verify
from ledger.database import Database, open_database
from ledger.migrations import upgrade as migrate
from tests.infrastructure.driver import ChangeDriver, Target
from tests.ledger.conftest import create_database
from tests.support.closing import until_the_core_has_left
from tests.support.tcp_gate import Gate, tcp_gate
from worker.embedded.servers import EmbeddedServers
from worker.wiring import worker
from workflows.change import InfrastructureSaga
from workflows.contract.admission import DATA_CONVERTER
from workflows.rollback import RollbackSaga

LEDGER = "infrastructure_ledger"
QUEUE = "infrastructure-tests"
# Long enough for a real server, short enough to wait for its end.
ATTEMPT = timedelta(seconds=2)

_numbers = count(1)


@pytest.fixture
def prefix() -> str:
    """What the names of a test begin with: all tests share one target server and one ledger."""
    return f"t{next(_numbers)}-"


@pytest.fixture(scope="session")
def target(servers: EmbeddedServers) -> Target:
    """The target server, past the provider."""
    assert servers.target is not None
    return Target(servers.target.url())


@pytest.fixture(scope="session")
async def way_to_target(servers: EmbeddedServers) -> AsyncIterator[Gate]:
    """The door through which the worker reaches the target server."""
    async with tcp_gate(servers.target_url) as gate:
        yield gate


@pytest.fixture(scope="session")
async def ledger_urls(servers: EmbeddedServers) -> dict[str, str]:
    """The URLs of a migrated ledger, by role."""
    await create_database(servers, LEDGER)
    urls = {
        role: servers.ledger_url(f"amends_{role}", LEDGER)
        for role in ("owner", "worker", "auditor")
    }
    await asyncio.to_thread(migrate.upgrade, urls["owner"])
    return urls


@pytest.fixture(scope="session")
async def database(ledger_urls: dict[str, str]) -> AsyncIterator[Database]:
    """The worker's connections to the ledger."""
    async with open_database(ledger_urls["worker"], size=20) as opened:
        yield opened


@pytest.fixture(scope="session")
async def working(
    servers: EmbeddedServers, database: Database, way_to_target: Gate
) -> AsyncIterator[Client]:
    """A client with a worker behind it, wired as in production but for its shorter attempts."""
    client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
    provider = PostgresProvider(way_to_target.url)
    rooms = [
        SagaActivities(database, client),
        StepRecords(database),
        ResourceActivities(database, [provider], attempt=ATTEMPT),
    ]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(provider.close)
        await stack.enter_async_context(
            worker(client, QUEUE, [InfrastructureSaga, RollbackSaga], rooms)
        )
        yield client
    await until_the_core_has_left()


@pytest.fixture
async def ledger(ledger_urls: dict[str, str]) -> AsyncIterator[Database]:
    """The auditor's eyes; whatever the test did, `verify` finds nothing afterwards."""
    async with open_database(ledger_urls["auditor"], size=2) as opened:
        yield opened
        assert (await verify(opened)).findings == []


@pytest.fixture
def driver(working: Client, ledger: Database) -> ChangeDriver:
    """Asks for sagas by name, as a client of any language would."""
    return ChangeDriver(working, QUEUE)
