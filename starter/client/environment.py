"""The settings of a client: those of the environment, or of the `amends up` of this folder."""

import json
import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.processes import start_of
from starter.client.errors import Unreachable, WrongSetting

if TYPE_CHECKING:
    from ledger.database import Pooling

FOLDER = Path(".amends")
_POOLING = "AMENDS_DATABASE_POOLING"
# Of Temporal's clients, where nothing says otherwise.
DEFAULT_ADDRESS, DEFAULT_NAMESPACE = "localhost:7233", "default"

# Whoever sets one of these says where the servers are: then nothing comes from `.amends/env`, so
# that the Temporal of one installation never meets the ledger of another.
_NAMES_SERVERS = (
    "TEMPORAL_ADDRESS",
    "TEMPORAL_PROFILE",
    "TEMPORAL_CONFIG_FILE",
    "AMENDS_DATABASE_URL",
    "AMENDS_MIGRATION_URL",
    "AMENDS_AUDIT_URL",
)


def settings(
    environment: Mapping[str, str] = os.environ, folder: Path = FOLDER
) -> Mapping[str, str]:
    """The environment, completed by the running `amends up` of this folder. Names set stay."""
    if any(_is_set(name, environment) for name in _NAMES_SERVERS) or not is_up(folder):
        return environment
    return {**up_settings(folder), **environment}


def server_options(environment: Mapping[str, str] = os.environ) -> str:
    """The options, after a space, with which a command of the official CLI finds the Temporal of
    these settings; empty where that looks by itself."""
    known = settings(environment)
    address = known.get("TEMPORAL_ADDRESS") or DEFAULT_ADDRESS
    return options_of(address, known.get("TEMPORAL_NAMESPACE") or DEFAULT_NAMESPACE)


def options_of(address: str, namespace: str) -> str:
    """The options of the official CLI for this server, after a space; empty for its default."""
    if (address, namespace) == (DEFAULT_ADDRESS, DEFAULT_NAMESPACE):
        return ""
    return f" --address {address} --namespace {namespace}"


def up_settings(folder: Path = FOLDER) -> dict[str, str]:
    """The settings of the `amends up` that runs here. Raises Unreachable when none does, and for
    those of another user, who could name servers of their own."""
    file = folder / "env"
    try:
        lines = _own_text(file).splitlines() if is_up(folder) else None
    except OSError as error:
        raise Unreachable(f"{file} can't be read ({error.strerror})") from None
    if lines is None:
        raise Unreachable("no amends up runs in this folder: start it, or go to its folder")
    words = (shlex.split(line) for line in lines if line.startswith("export "))
    return dict(pair.split("=", 1) for _, pair in words)


def _own_text(file: Path) -> str:
    """The text of a file of this user, in a folder of this user. Raises Unreachable for others."""
    # Of the file that is open, or it could be another one by the time it is asked about.
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)) as stream:
        found = os.fstat(stream.fileno())
        owners = (file.parent.lstat().st_uid, file.parent.stat().st_uid, found.st_uid)
        for owner in owners:
            if owner != os.geteuid():
                raise Unreachable(
                    f"{file} belongs to another user ({owner}), who may have prepared it: run as "
                    f"that user, or say in the environment where the servers are"
                )
        if not stat.S_ISREG(found.st_mode):
            raise Unreachable(f"{file} is no file: start amends up again")
        return stream.read()


def is_up(folder: Path = FOLDER) -> bool:
    """Whether the process that wrote `env` lives: a killed one leaves its files behind."""
    try:
        if not (folder / "env").exists():
            return False
        holder = json.loads((folder / "up.json").read_text())["supervisor"]
        return _lives(holder)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _lives(holder: Mapping[str, Any]) -> bool:
    """Whether the very process lives: its id alone may have been given to another one since."""
    try:
        return bool(start_of(int(holder["pid"])) == holder["start"])
    except ProcessLookupError:
        return False


def setting(name: str, environment: Mapping[str, str]) -> str | None:
    """A setting, from the environment or from the file that NAME_FILE names. None if not set."""
    if value := environment.get(name):
        return value
    file = environment.get(f"{name}_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text().strip() or None
    except OSError as error:
        raise Unreachable(f"{name}_FILE can't be read ({error.strerror})") from None


@dataclass(frozen=True)
class LedgerAddress:
    """The address under which readers find the ledger, and how its sessions are pooled."""

    url: str = field(repr=False)
    pooling: "Pooling" = "session"


def ledger_address(environment: Mapping[str, str]) -> LedgerAddress | None:
    """The address of AMENDS_AUDIT_URL; None if it is not set. Raises WrongSetting."""
    url = setting("AMENDS_AUDIT_URL", environment)
    if url is None:
        return None
    match environment.get(_POOLING) or "session":
        case "session" | "transaction" | "transaction-unprepared" as pooling:
            return LedgerAddress(url, pooling)
        case _:
            raise WrongSetting(
                f"{_POOLING} is not one of session, transaction, transaction-unprepared"
            )


def _is_set(name: str, environment: Mapping[str, str]) -> bool:
    return bool(environment.get(name) or environment.get(f"{name}_FILE"))
