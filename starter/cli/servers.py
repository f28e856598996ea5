"""`amends up`, `env`, `migrate`, `worker`: the servers of Amends."""

import os
import sys
from typing import NoReturn

import click

from starter.cli import options, output
from starter.client.environment import settings, up_settings

# The settings that a command does not need: whoever owns the ledger may change its rules.
_NOT_FOR = {
    "run": ("AMENDS_MIGRATION_URL", "AMENDS_AUDIT_URL"),
    "migrate": (
        *("AMENDS_DATABASE_URL", "AMENDS_AUDIT_URL", "AMENDS_POSTGRES_TARGET_URL"),
        "TEMPORAL_",
    ),
}
# What follows belongs to `python -m worker`, `--help` and `--json` too.
_PASSED_ON = {"ignore_unknown_options": True, "help_option_names": []}


@click.command(context_settings=_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def up(arguments: tuple[str, ...]) -> None:
    """Start all servers and a worker here.

    PostgreSQL, Temporal with its Web UI, and a worker run until Ctrl-C.
    """
    _become("up", arguments, dict(os.environ))


@click.command(context_settings=_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def migrate(arguments: tuple[str, ...]) -> None:
    """Migrate the ledger's database to this version."""
    _become("migrate", arguments, _needed_by("migrate"))


@click.command(context_settings=_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Run a worker on configured servers, until SIGTERM."""
    _become("run", arguments, _needed_by("run"))


def _needed_by(command: str) -> dict[str, str]:
    """The settings without those of others, in files (NAME_FILE) too."""
    others = _NOT_FOR[command]
    return {name: value for name, value in settings().items() if not name.startswith(others)}


def _become(command: str, arguments: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    # -P: the folder we stand in may hold a `worker` or `ledger` of its own.
    words = [sys.executable, "-P", "-m", "worker", command, *arguments]
    sys.stdout.flush()
    os.execve(sys.executable, words, environment)


@click.command()
@options.as_json
def env(as_json: bool) -> None:
    """Print the settings of the amends up of this folder.

    The output is export lines, secrets included.
    """
    import shlex

    found = up_settings()
    if as_json:
        output.document(found)
        return
    for name, value in found.items():
        click.echo(f"export {name}={shlex.quote(value)}")
