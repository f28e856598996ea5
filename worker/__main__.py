"""`python -m worker up|run|migrate`: behind `amends up`, `amends worker`, `amends migrate`."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from ledger.words import plain
from worker.embedded.errors import EmbeddedError
from worker.errors import Unreachable
from worker.logs import configure_logs
from worker.settings import MIGRATE_NEEDS, RUN_NEEDS, TARGET_NEEDS, Settings, SettingsError

Result = TypeVar("Result")
_PORT = click.IntRange(1, 65_535)
_QUEUES = ["payments", "infrastructure"]


class _AsAPersonCallsThem(click.Group):
    """Calls `run` `amends worker`, as a person does, in help and in errors."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return "worker" if name == "run" else name, command, rest


@click.group(cls=_AsAPersonCallsThem, no_args_is_help=False)
def main() -> None:
    """The worker and the servers that it needs."""


@main.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path(".amends"),
    show_default=True,
    help="The data folder.",
)
@click.option("--no-worker", is_flag=True, help="Run the servers alone: no migration, no worker.")
@click.option("--postgres-port", type=_PORT, help="The port of PostgreSQL (default: a free one).")
@click.option("--temporal-port", type=_PORT, help="The port of Temporal (default: a free one).")
@click.option("--ui-port", type=_PORT, help="The port of the Web UI (default: a free one).")
@click.option(
    "--health-port", type=_PORT, help="The port of the health endpoint (default: a free one)."
)
@click.option(
    "--own-target",
    is_flag=True,
    help="Use the target server that AMENDS_POSTGRES_TARGET_URL (or its _FILE) names.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON when all servers are up."
)
def up(data: Path, no_worker: bool, own_target: bool, as_json: bool, **ports: int | None) -> None:
    """Run embedded PostgreSQL, Temporal with its Web UI, and a worker, until Ctrl-C."""
    # Imported here: `worker run` on real servers needs none of it.
    from worker.embedded.up import Up

    # Not an option with a value: everybody may read a command line, and a URL holds a password.
    target_url = _settings(os.environ, TARGET_NEEDS).target_url if own_target else None
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
@click.option(
    "--queue", "queues", multiple=True, type=click.Choice(_QUEUES), help="Only this queue."
)
@click.option("--health-listener", type=int, hidden=True)
@click.option("--namespace-id", hidden=True)
def run(queues: tuple[str, ...], health_listener: int | None, namespace_id: str | None) -> None:
    """Run a worker on the servers that the settings name, until SIGTERM; on both queues by
    default."""
    from activities.providers.kinds import ProviderNotLoaded
    from worker import process
    from worker.wiring import QUEUES

    settings = _settings(os.environ)
    configure_logs(settings.log_format)
    status = 0
    try:
        asyncio.run(process.run(settings, queues or QUEUES, health_listener, namespace_id))
    except (ProviderNotLoaded, SettingsError) as error:
        status = _say(error, 2)
    except Unreachable as error:
        status = _say(error, 3)
    except OSError as error:
        status = _say(f"{settings.health_address} can't be listened on ({error.strerror})", 2)
    # Threads of the SDK's core may still call into an interpreter that is going down, which aborts
    # it (status 134). All is closed and flushed here, so nothing is lost by not going that way.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def migrate(as_json: bool) -> None:
    """Migrate the databases that the settings name to this version."""
    revision = _run(_migrate(os.environ))
    text = (
        json.dumps({"revision": revision}) if as_json else f"the ledger is at revision {revision}"
    )
    click.echo(text)


async def _migrate(environment: Mapping[str, str]) -> str:
    from worker import process

    return await process.migrate(Settings.from_environment(environment, needs=MIGRATE_NEEDS))


def _settings(environment: Mapping[str, str], needs: Collection[str] = RUN_NEEDS) -> Settings:
    try:
        return Settings.from_environment(environment, needs)
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
    sys.exit(_say(error, status))


def _say(error: Exception | str, status: int) -> int:
    click.echo(f"amends: {plain(str(error))}", err=True)
    return status


def command_line() -> None:
    """Run the command of `sys.argv`; an error of usage is one line, as everywhere in `amends`."""
    try:
        status = main.main(prog_name="amends", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "amends"
        _fail(f"{_wrong(error)}: see {command} --help", 2)
    except click.Abort:
        sys.exit(130)
    sys.exit(status)


def _wrong(error: click.UsageError) -> str:
    """The error of usage without the value: a URL holds a password."""
    match error:
        case click.NoSuchOption():
            return f"no option named {error.option_name.partition('=')[0]}"
        case click.BadOptionUsage():
            return f"{error.option_name}: a value is missing, or one too many"
        case click.BadParameter() if error.param:
            return f"{error.param.opts[0]}: {_needed(error.param.type)}"
        case _:
            return "no such command or argument"


def _needed(kind: "click.ParamType[Any]") -> str:
    match kind:
        case click.IntRange():
            return f"a whole number from {kind.min} to {kind.max} is needed"
        case click.Choice():
            return f"{' or '.join(kind.choices)} is needed"
        case _:
            return "another value is needed"


if __name__ == "__main__":
    command_line()
