"""Real servers for all tests: one set per run, in a folder of its own."""

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ledger.database import Pooling
from tests.support.pgbouncer import Bouncer, pgbouncer
from worker.embedded import databases, postgres, temporal
from worker.embedded.servers import EmbeddedServers

# Temporal deletes a run only when it has noted that its end was dealt with: every half a minute.
_NOTED_EVERY = '"1s"'
# A shell ignores Ctrl-C in what it runs in the background, and each child process inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

CloneDatabase = Callable[[str], Awaitable[str]]
# They begin first, so that no process waits for the other one at the end.
LONG = {
    "test_benchmarks.py",
    "test_cancellation.py",
    "test_cancelled_changes.py",
    "test_demo.py",
    "test_explorer.py",
    "test_mutants.py",
    "test_soak.py",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "run the conformance suite alone, against this payment adapter (module:Class)"
    parser.addoption("--adapter", dest="adapter", default=None, help=text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("adapter") is not None:
        items[:] = [item for item in items if item.path.parent.name == "conformance"]
    items.sort(key=lambda item: item.path.name not in LONG)


# What the servers of one run write at most, twice over.
_RAM_NEEDED = 4 * 2**30


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """Not pytest's own folder: when root runs the tests, PostgreSQL's user must reach it. In memory
    where there is enough: to clone a database of 400 files takes a tenth of the time of a disk."""
    memory = Path("/dev/shm")
    ram = memory.is_dir() and shutil.disk_usage(memory).free > _RAM_NEEDED
    with tempfile.TemporaryDirectory(prefix="amends-tests-", dir=memory if ram else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
async def servers(session_folder: Path) -> AsyncIterator[EmbeddedServers]:
    """PostgreSQL (two clusters) and Temporal, running; without fsync."""
    with pytest.MonkeyPatch.context() as patched:
        for queue in ("transfer", "visibility"):
            name = f"history.{queue}ProcessorUpdateAckInterval"
            patched.setitem(temporal._DYNAMIC_CONFIG, name, _NOTED_EVERY)
        # Off unless asked for, and a person may switch it on wherever our sagas run.
        patched.setitem(temporal._DYNAMIC_CONFIG, "frontend.WorkflowPauseEnabled", "true")
        # Tests connect by the thousand; to prove a password 4,096 times is much of what it takes.
        patched.setitem(postgres._NOT_DURABLE, "scram_iterations", "1")
        # Its workers come into databases at their own times; a DROP ... FORCE then has to wait.
        patched.setitem(postgres._NOT_DURABLE, "autovacuum", "off")
        async with EmbeddedServers(session_folder / "servers", durable=False) as running:
            yield running


@pytest.fixture(scope="session")
def clone_database(servers: EmbeddedServers) -> CloneDatabase:
    """`await clone_database(template)` gives the name of a new database like it, of its owner."""
    numbers = count(1)

    async def clone(template: str) -> str:
        name = f"{template}_{next(numbers)}"
        await databases.clone_database(servers.main.url(), template, name, "amends_owner")
        return name

    return clone


@pytest.fixture(scope="module", params=["transaction", "transaction-unprepared"])
def pooling(request: pytest.FixtureRequest) -> Pooling:
    """Each form of pooling that is not a session's own."""
    mode: Pooling = request.param
    return mode


@pytest.fixture(scope="module")
async def bouncer(
    request: pytest.FixtureRequest,
    servers: EmbeddedServers,
    session_folder: Path,
    pooling: Pooling,
) -> AsyncIterator[Bouncer]:
    """The real PgBouncer in front of the ledgers, of one file of tests."""
    prepared = 200 if pooling == "transaction" else 0
    folder = session_folder / f"{request.path.stem}-{pooling}"
    async with pgbouncer(servers, folder, max_prepared_statements=prepared) as running:
        yield running
