"""The adapters under test: `mock` and `bind`, or the one of `--adapter module:Class`."""

from collections.abc import AsyncIterator
from importlib import import_module
from uuid import uuid4

import pytest

from activities.adapters.payment import PaymentAdapter, TransferOrder
from tests.conformance.bank import Bank
from tests.conformance.bind_bank import ConformingBind
from tests.conformance.mock_bank import ConformingMock
from worker.embedded.servers import EmbeddedServers

OURS: tuple[type[Bank], ...] = (ConformingMock, ConformingBind)


def banks(config: pytest.Config) -> tuple[type[Bank], ...]:
    named: str | None = config.getoption("adapter")
    if named is None:
        return OURS
    module, _, name = named.partition(":")
    try:
        found: type[Bank] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise pytest.UsageError(f"--adapter {named}: {error}") from error
    return (found,)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*troubles): what the bank must be able to do")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs for each bank that can be scripted to do what it needs."""
    if "bank" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("needs")
    needs = set(marker.args) if marker else set()
    chosen = [each for each in banks(metafunc.config) if needs <= each.can]
    metafunc.parametrize("bank", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
async def bank(request: pytest.FixtureRequest, servers: EmbeddedServers) -> AsyncIterator[Bank]:
    made: type[Bank] = request.param
    async with made(servers.environment()) as bank:
        yield bank


@pytest.fixture
def adapter(bank: Bank) -> PaymentAdapter:
    return bank.adapter


@pytest.fixture
def order(bank: Bank) -> TransferOrder:
    return bank.order(f"payment/{uuid4()}", 4_500_050)
