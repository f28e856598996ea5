"""The world to attack."""

from collections.abc import AsyncIterator
from dataclasses import asdict

import pytest

from tests.conftest import CloneDatabase
from tests.ledger.conftest import Clone, WrittenTemplate, dropped_afterwards
from tests.ledger.rules.attempt import Attacked
from tests.ledger.rules.world import fill
from worker.embedded.servers import EmbeddedServers


@pytest.fixture(scope="session")
async def world_template(written_template: WrittenTemplate) -> str:
    """A ledger with the world in it, to clone."""
    return await written_template(fill)


@pytest.fixture
def template(world_template: str) -> str:
    return world_template


@pytest.fixture(scope="module")
async def attacked(
    servers: EmbeddedServers, world_template: str, clone_database: CloneDatabase
) -> AsyncIterator[Attacked]:
    """One world for all attempts: each is refused and leaves it as it was."""
    name = await clone_database(world_template)
    async with dropped_afterwards(servers, name) as clone, Attacked(asdict(clone)) as world:
        yield world


@pytest.fixture
async def stage(clone: Clone) -> AsyncIterator[Attacked]:
    """A world of its own for one test."""
    async with Attacked(asdict(clone)) as world:
        yield world
