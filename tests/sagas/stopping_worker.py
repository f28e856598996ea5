"""`python -m tests.sagas.stopping_worker run`: a worker that stops itself (SIGSTOP) at one place.

AMENDS_STOPS_BEFORE is `transfer` (the bank is about to be called) or the type of an event (a commit
is about to write it). It stops there once, and has written AMENDS_STOPPED before it does.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from activities import classification
from activities.adapters.mock import MockBank
from ledger.store import commit
from worker import __main__, wiring

CARRY_OUT = classification._Classifying.execute_activity
# It asks for no work that it can't do: what it was given while it stands still is lost for a while.
ONE_AT_A_TIME: dict[str, Any] = {
    "max_cached_workflows": 0,
    "max_concurrent_workflow_task_polls": 1,
    "max_concurrent_activities": 1,
    "max_concurrent_activity_task_polls": 1,
}


def stop() -> None:
    """Once, and only after saying so."""
    marker = Path(os.environ["AMENDS_STOPPED"])
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGSTOP)


def stopping(call: Callable[..., Any], is_it: Callable[..., bool]) -> Callable[..., Any]:
    """The same call, which stops first."""

    async def stopped(*args: Any) -> Any:
        if is_it(*args):
            stop()
        return await call(*args)

    return stopped


def deaf(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, which no cancel stops: what wakes up late is told so, and may hear it late."""

    async def to_its_end(*args: Any) -> Any:
        task = asyncio.ensure_future(call(*args))
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(task)
        return task.result()

    return to_its_end


def main() -> None:
    """The worker's command line, changed."""
    place, patch = os.environ["AMENDS_STOPS_BEFORE"], pytest.MonkeyPatch()
    patch.setattr(classification._Classifying, "execute_activity", deaf(CARRY_OUT))
    patch.setattr(wiring, "Worker", partial(wiring.__dict__["Worker"], **ONE_AT_A_TIME))
    if place == "transfer":
        patch.setattr(MockBank, "transfer", stopping(MockBank.transfer, lambda *_: True))
    else:
        writes = stopping(commit._write, lambda _, made: place in made.values.values())
        patch.setattr(commit, "_write", writes)
    __main__.command_line()


if __name__ == "__main__":
    main()
