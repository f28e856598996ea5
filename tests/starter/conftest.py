"""A worker for every kind of saga, and the command line in this process."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection
from temporalio.client import Client

from activities.adapters.mock import MockBank
from ledger.audit.verify import verify
from ledger.database import open_database
from starter.cli.run import run
from starter.client.client import Amends
from tests.support.closing import until_the_core_has_left
from worker.embedded.databases import clone_database
from worker.embedded.servers import EmbeddedServers
from worker.process import migrate, work
from worker.settings import Settings
from worker.wiring import wire
from workflows.contract.admission import DATA_CONVERTER

LEDGER, BANK = "starter_ledger", "starter_bank"
QUEUES = {
    "AMENDS_PAYMENTS_QUEUE": "starter-payments",
    "AMENDS_INFRASTRUCTURE_QUEUE": "starter-infrastructure",
    "AMENDS_SWEEP_QUEUE": "starter-sweep",
}
_numbers = count(1)


@dataclass(frozen=True)
class Done:
    """What became of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document that it printed."""
        return json.loads(self.out)


Command = Callable[..., Awaitable[Done]]
Heal = Callable[[str], Awaitable[None]]


@pytest.fixture(scope="session")
async def settings(
    servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment of a client: a migrated ledger and a bank of these tests' own."""
    for name, owner in ((LEDGER, "amends_owner"), (BANK, "mock_bank")):
        await clone_database(servers.main.url(), "template1", name, owner)
    return {
        "AMENDS_DATABASE_URL": servers.ledger_url("amends_worker", LEDGER),
        "AMENDS_MIGRATION_URL": servers.ledger_url("amends_owner", LEDGER),
        "AMENDS_AUDIT_URL": servers.ledger_url("amends_auditor", LEDGER),
        "AMENDS_MOCK_BANK_URL": servers.mock_bank_url(BANK),
        "AMENDS_STATEMENTS": str(tmp_path_factory.mktemp("statements")),
        "AMENDS_POSTGRES_TARGET_URL": servers.target_url,
        "TEMPORAL_ADDRESS": servers.temporal.address,
        "AMENDS_ENV": "development",
        **QUEUES,
    }


@pytest.fixture(scope="session")
async def working(settings: dict[str, str]) -> AsyncIterator[Client]:
    """The worker, wired as it is in production, in this process; its client."""
    config = Settings.from_environment(settings)
    await migrate(config)
    client = await Client.connect(settings["TEMPORAL_ADDRESS"], data_converter=DATA_CONVERTER)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(wire(config, client))
        task = asyncio.create_task(work(running.workers, stop))
        yield client
        stop.set()
        await task
    await until_the_core_has_left()


@pytest.fixture
async def amends(settings: dict[str, str], working: Client) -> AsyncIterator[Amends]:
    """The SDK with a worker behind it; whatever the test did, `verify` finds nothing."""
    async with Amends.connect(settings) as client:
        yield client
    async with open_database(settings["AMENDS_AUDIT_URL"], size=1) as database:
        assert (await verify(database)).findings == []


@pytest.fixture
def command(
    amends: Amends,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Command:
    """`await command("pay", {...}, "--json")`: a dict becomes a file. One at a time."""
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    async def command(*arguments: str | dict[str, Any]) -> Done:
        words = [_word(tmp_path, argument) for argument in arguments]
        # Commands have an event loop of their own, so not in the thread of ours.
        status = await asyncio.to_thread(run, words)
        out, err = capsys.readouterr()
        return Done(status, out, err)

    return command


def _word(folder: Path, argument: str | dict[str, Any]) -> str:
    if isinstance(argument, str):
        return argument
    file = folder / f"request-{next(_numbers)}"
    file.write_text(json.dumps(argument))
    return str(file)


@pytest.fixture
async def bank(settings: dict[str, str], working: Client) -> AsyncIterator[MockBank]:
    """The bank's own counter: for its faults."""
    async with MockBank(settings["AMENDS_MOCK_BANK_URL"]) as bank:
        yield bank


@pytest.fixture
def heal(settings: dict[str, str]) -> Heal:
    """`await heal(saga_id)`: the bank makes no mistakes any more with this payment."""

    async def heal(saga_id: str) -> None:
        url = settings["AMENDS_MOCK_BANK_URL"]
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            healed = "UPDATE mock_bank.faults SET remaining = 0 WHERE key = %s"
            await connection.execute(healed, (saga_id,))

    return heal


@pytest.fixture
def new_id() -> Callable[[str], str]:
    """`new_id("pay")`: an operation id or a name that no other test has."""
    return lambda text: f"{text}-{next(_numbers)}"


@pytest.fixture
async def agent(command: Command, new_id: Callable[[str], str]) -> str:
    """An agent with the policy of the requirements: 60,000 at once, 100,000 a day, above 50,000 a
    person approves."""
    name = new_id("bot")
    registered = await command("agent", "register", name, "--user", "u-17", "--as", "user:ana")
    assert registered.status == 0, registered.err
    limits = ("--max-per-transaction", "6000000", "--daily-limit", "10000000")
    above = ("--approval-threshold", "5000000", "--currency", "ARS", "--as", "user:ana")
    assert (await command("policy", "set", name, *limits, *above)).status == 0
    return name


@pytest.fixture
def payment(agent: str, new_id: Callable[[str], str]) -> Callable[..., dict[str, Any]]:
    """`payment(45_000)`: a request of that many pesos."""

    def request(pesos: int, **more: Any) -> dict[str, Any]:
        return {
            "operation_id": new_id("pay"),
            "agent_id": agent,
            "amount": {"minor": pesos * 100, "currency": "ARS"},
            "destination": {"cbu": "2850590940090418135201"},
            **more,
        }

    return request
