"""Runs a command's work with a client or with the ledger, as the settings say."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from starter.cli.options import KEY_FILE
from starter.client.environment import ledger_address, settings
from starter.client.errors import Unreachable, WrongSetting

if TYPE_CHECKING:
    from ledger.database import Database
    from starter.client.client import Amends
    from starter.client.environment import LedgerAddress

T = TypeVar("T")

# No plugin of an installed package has a say in what a command reads; to look for one reads the
# metadata of every package.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# A list that is readable without Temporal does not wait for long.
_CONNECT_S, _LEAST_S = 5.0, 2.0


def with_amends(work: "Callable[[Amends], Awaitable[T]]") -> T:
    """The result of `work`, called with a connected client."""
    from temporalio.runtime import Runtime, TelemetryConfig

    from starter.client.client import Amends

    async def connected() -> T:
        # Temporal's core logs to stdout, which belongs to the answer.
        quiet = Runtime(telemetry=TelemetryConfig(logging=None))
        async with Amends.connect(_with_key(settings()), runtime=quiet) as amends:
            return await work(amends)

    return _run(connected())


def _with_key(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The settings, with the key that `--key` names."""
    context = click.get_current_context(silent=True)
    file = context.meta.get(KEY_FILE) if context else None
    return {**environment, KEY_FILE: file} if file else environment


def with_both(work: "Callable[[Database, Amends | None, str], Awaitable[T]]") -> T:
    """The result of `work`, called with the ledger and with a client, or with None and the reason
    why Temporal can't be reached."""
    from temporalio.runtime import Runtime, TelemetryConfig

    from starter.client.client import Amends
    from starter.client.reading import reading

    address = _ledger()

    async def connected() -> T:
        async with reading(address) as database:
            database.note = _note
            quiet = Runtime(telemetry=TelemetryConfig(logging=None))
            connecting = Amends.connect(runtime=quiet)
            try:
                async with asyncio.timeout(_CONNECT_S):
                    amends = await connecting
            except (Unreachable, TimeoutError) as error:
                why = str(error) or f"Temporal did not answer within {_CONNECT_S:g} s"
                return await work(database, None, why)
            try:
                return await work(database, amends, "")
            finally:
                await connecting.__aexit__(None, None, None)

    return _run(connected())


def with_ledger(work: "Callable[[Database], Awaitable[T]]", *, timeout_s: float = _CONNECT_S) -> T:
    """The result of `work`, called with the ledger as its auditor reads it. `timeout_s` is what the
    person who asks will wait at most, for a connection too."""
    from starter.client.reading import reading

    address = _ledger()

    async def connected() -> T:
        wait_s = min(_CONNECT_S, max(timeout_s, _LEAST_S))
        async with reading(address, wait_s=wait_s) as database:
            database.note = _note
            return await work(database)

    return _run(connected())


def _note(sentence: str) -> None:
    """Print what the answer lacks, on stderr."""
    from starter.cli import output

    output.aside(f"amends: {sentence}")


def _run(work: Coroutine[Any, Any, T]) -> T:
    # What was imported up to now is no garbage: see `starter.cli.main`.
    gc.freeze()
    gc.enable()
    return asyncio.run(work)


def _ledger() -> "LedgerAddress":
    address = ledger_address(settings())
    if address is None:
        raise Unreachable("AMENDS_AUDIT_URL is not set: set it, or run amends up in this folder")
    return address


def with_ledger_if_any(work: "Callable[[Database], Awaitable[T]]") -> T | None:
    """The result of `work`; None where the ledger can't be read."""
    try:
        return with_ledger(work)
    except (Unreachable, WrongSetting):
        return None
