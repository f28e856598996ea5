"""The external systems of the tests: the bank's tables and the shared target server."""

from collections.abc import AsyncIterator

import pytest

from activities.adapters.mock import MockBank, create_mock_bank
from activities.providers.postgres.provider import PostgresProvider
from worker.embedded.servers import EmbeddedServers


@pytest.fixture(scope="session")
def mock_bank_url(servers: EmbeddedServers) -> str:
    return servers.mock_bank_url()


@pytest.fixture(scope="session")
def target_url(servers: EmbeddedServers) -> str:
    """The target server as the provisioner."""
    return servers.target_url


@pytest.fixture(scope="session")
def target_superuser_url(servers: EmbeddedServers) -> str:
    """The target server as its superuser: what a person does behind the provider's back."""
    assert servers.target is not None
    return servers.target.url()


@pytest.fixture(scope="session")
async def bank(mock_bank_url: str) -> AsyncIterator[MockBank]:
    await create_mock_bank(mock_bank_url)
    async with MockBank(mock_bank_url) as bank:
        yield bank


@pytest.fixture(scope="session")
async def provider(target_url: str) -> AsyncIterator[PostgresProvider]:
    provider = PostgresProvider(target_url)
    yield provider
    await provider.close()
