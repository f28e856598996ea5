"""The world to attack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import pytest

from ledger.database import open_database
from tests.conftest import CloneDatabase
from tests.ledger.conftest import dropped_afterwards
from tests.ledger.rules.attempt import Attacked
from tests.ledger.rules.world import fill
from worker.embedded.servers import EmbeddedServers


@pytest.fixture(scope="session")
async def world_template(
    servers: EmbeddedServers, ledger_template: str, clone_database: CloneDatabase
) -> str:
    """The name of a ledger with the world in it, to clone."""
    name = await clone_database(ledger_template)
    async with open_database(servers.ledger_url("amends_worker", name), size=1) as database:
        await fill(database)
    return name


@asynccontextmanager
async def a_world(servers: EmbeddedServers, name: str) -> AsyncIterator[Attacked]:
    async with dropped_afterwards(servers, name) as clone, Attacked(asdict(clone)) as attacked:
        yield attacked


@pytest.fixture(scope="module")
async def attacked(
    servers: EmbeddedServers, world_template: str, clone_database: CloneDatabase
) -> AsyncIterator[Attacked]:
    """One world for all attempts: each is refused and leaves it as it was."""
    async with a_world(servers, await clone_database(world_template)) as world:
        yield world


@pytest.fixture
async def stage(
    servers: EmbeddedServers, world_template: str, clone_database: CloneDatabase
) -> AsyncIterator[Attacked]:
    """A world of its own for one test."""
    async with a_world(servers, await clone_database(world_template)) as world:
        yield world
