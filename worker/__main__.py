"""`python -m worker up|run|migrate`: behind `amends up`, `amends worker`, `amends migrate`."""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from worker.embedded.errors import EmbeddedError
from worker.errors import Unreachable
from worker.logs import configure_logs
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
@click.option("--queue", "queues", multiple=True, type=click.Choice(["payments", "infrastructure"]))
def run(queues: tuple[str, ...]) -> None:
    """A worker on the servers that the settings name, until SIGTERM; on both queues by default."""
    from worker import process
    from worker.wiring import QUEUES

    settings = _settings(os.environ)
    configure_logs(settings.log_format)
    try:
        asyncio.run(process.run(settings, queues or QUEUES))
    except Unreachable as error:
        _fail(error, 3)
    except OSError as error:
        _fail(f"{settings.health_address} can't be listened on ({error.strerror})", 2)
    # Threads of the SDK's core may still call into an interpreter that is going down, which aborts
    # it (status 134). All is closed and flushed here, so nothing is lost by not going that way.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@main.command()
def migrate() -> None:
    """Bring the databases that the settings name to this version."""
    revision = _run(_migrate(os.environ))
    click.echo(f"the ledger is at revision {revision}")


async def _migrate(environment: Mapping[str, str]) -> str:
    from worker import process

    return await process.migrate(Settings.from_environment(environment, needs=MIGRATE_NEEDS))


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
    except Unreachable as error:
        _fail(error, 3)


def _fail(error: Exception | str, status: int) -> NoReturn:
    click.echo(f"amends: {error}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
