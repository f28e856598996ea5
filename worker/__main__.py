"""`python -m worker up|run|migrate`: behind `amends up`, `amends worker`, `amends migrate`."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from worker.embedded.errors import EmbeddedError
from worker.settings import MIGRATE_NEEDS, Settings, SettingsError

Result = TypeVar("Result")
_PORT = click.IntRange(1, 65_535)


@click.group()
def main() -> None:
    """The worker and the servers it needs."""


@main.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path(".amends"), show_default=True)
@click.option("--no-worker", is_flag=True, help="The servers alone: no migration, no worker.")
@click.option("--postgres-port", type=_PORT, help="A free one unless given; likewise the others.")
@click.option("--temporal-port", type=_PORT)
@click.option("--ui-port", type=_PORT)
@click.option("--health-port", type=_PORT)
@click.option("--target-url", metavar="URL", help="A target server of your own, as provisioner.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON when all is up.")
def up(
    data: Path, no_worker: bool, target_url: str | None, as_json: bool, **ports: int | None
) -> None:
    """Embedded PostgreSQL, Temporal with its Web UI, and a worker, until Ctrl-C."""
    # Imported here: `worker run` on real servers needs none of it.
    from worker.embedded.up import Up

    asked = {name.removesuffix("_port"): port for name, port in ports.items() if port}
    command = Up(
        data=data,
        migrate=None if no_worker else _migrate,
        asked=asked,
        target_url=target_url,
        as_json=as_json,
    )
    sys.exit(_run(command.run()))


@main.command()
def run() -> None:
    """A worker on the servers that the settings name, until SIGTERM."""
    from worker import process

    _run(process.run(_settings(os.environ)))


@main.command()
def migrate() -> None:
    """Bring the databases that the settings name to this version."""
    _run(_migrate(os.environ))


async def _migrate(environment: Mapping[str, str]) -> None:
    from worker import process

    await process.migrate(Settings.from_environment(environment, needs=MIGRATE_NEEDS))


def _settings(environment: Mapping[str, str]) -> Settings:
    try:
        return Settings.from_environment(environment)
    except SettingsError as error:
        _fail(error, 2)


def _run(command: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(command)
    except EmbeddedError as error:
        _fail(error, error.exit_status)
    except SettingsError as error:
        _fail(error, 2)


def _fail(error: Exception, status: int) -> NoReturn:
    click.echo(f"amends: {error}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
