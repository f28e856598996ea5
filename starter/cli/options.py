"""The options that several commands take."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar

import click

from starter.cli.output import IN_UTC
from starter.client.errors import InvalidInput

# The setting, and the name under which a command keeps what `--key` says.
KEY_FILE = "AMENDS_KEY_FILE"

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
as_json_lines = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one line for each event."
)
reason = click.option("--reason", metavar="TEXT", help="The reason, which stays in the ledger.")


def _with_key(context: click.Context, _: click.Parameter, file: str | None) -> None:
    context.meta[KEY_FILE] = file


def actor(command: Command) -> Command:
    """Add `--as` and `--key`: who asks, and the key that proves it."""
    named = click.option(
        "--as", "actor", metavar="user:NAME", help="The actor that asks (default: you)."
    )
    key = click.option(
        "--key",
        "key_file",
        metavar="FILE",
        expose_value=False,
        callback=_with_key,
        help="The private key of the actor (default: AMENDS_KEY_FILE).",
    )
    return named(key(command))


operation_id = click.option(
    "--operation-id", metavar="ID", help="The name of the operation for ever (default: a new one)."
)
environment = click.option(
    "--environment", metavar="NAME", help="The environment of the resources (default: dev)."
)
force = click.option("--force", is_flag=True, help="Override later changes of others.")
allow_irreversible = click.option(
    "--allow-irreversible", is_flag=True, help="Allow operations that lose data for ever."
)


def _in_utc(context: click.Context, _: click.Parameter, given: bool) -> None:
    context.meta[IN_UTC] = given


utc = click.option(
    "--utc",
    is_flag=True,
    expose_value=False,
    callback=_in_utc,
    help="Show times in UTC, and not in your time zone.",
)
timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, max=86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest wait for the past to close.",
)


def following(command: Command) -> Command:
    """Add `--detach` and `--wait`: how long the command follows its saga."""
    detach = click.option("--detach", is_flag=True, help="Return after the decision.")
    wait = click.option(
        "--wait", is_flag=True, help="Follow also while the saga waits for a person."
    )
    return detach(wait(command))


@dataclass(frozen=True)
class Later:
    """The options by which a schedule runs a saga; false where none is given."""

    at: str | None
    cron: str | None
    time_zone: str | None

    def __bool__(self) -> bool:
        return bool(self.at or self.cron or self.time_zone)


def later(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--at`, `--cron` and `--time-zone`, as the argument `later`: a schedule runs the saga."""

    @wraps(command)
    def collected(at: str | None, cron: str | None, time_zone: str | None, **others: Any) -> Any:
        return command(later=Later(at, cron, time_zone), **others)

    at = click.option(
        "--at", metavar="WHEN", help="Run it later: ISO 8601 with a zone, or PT10S from now."
    )
    cron = click.option("--cron", metavar="SPEC", help="Run it again and again: a cron line.")
    zone = click.option(
        "--time-zone", metavar="ZONE", help="The zone of the cron line's clock (default: UTC)."
    )
    return at(cron(zone(collected)))


def person(text: str | None) -> str:
    """The actor `user:NAME`, from `NAME` too; the login name when nothing is given."""
    if text is None:
        # A login name may hold what an actor's name may not.
        return "user:" + re.sub(r"[^A-Za-z0-9._@+-]", "-", _login())[:64]
    return text if ":" in text else f"user:{text}"


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise InvalidInput("--as", "no login name is known: give --as user:NAME") from None


def new_operation_id() -> str:
    """A new operation id, made of the time and a random part."""
    import secrets

    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
