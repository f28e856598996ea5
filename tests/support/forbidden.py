"""What a workflow may not do, and workflows that try it."""

import asyncio
import importlib
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from os import PathLike
from pathlib import Path

from temporalio import workflow
from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError

with workflow.unsafe.imports_passed_through():
    from tests.support.meeting import EXECUTIONS, HAS_COME, LEFT, MAY_GO, SPUN

EXECUTIONS.append(__name__)
runs: list[str] = []


def _imported() -> float:
    from time import time as now  # noqa: PLC0415

    return now()


THINGS: Mapping[str, Callable[[], object]] = {
    "read the clock": lambda: time.time(),
    "read the monotonic clock": lambda: time.monotonic(),
    "sleep": lambda: time.sleep(0),
    "ask for now": lambda: datetime.now(UTC),
    "ask for today": lambda: date.today(),
    "draw a number": lambda: random.random(),
    "draw a UUID": lambda: uuid.uuid4(),
    "draw a secret": lambda: secrets.token_hex(),
    "read the environment": lambda: os.environ["PATH"],
    "open a file": lambda: open("/dev/null"),  # noqa: SIM115
    "look for a file": lambda: Path("/dev/null").exists(),
    "make a temporary file": lambda: tempfile.mkdtemp(),
    "copy a file": lambda: shutil.copy("/dev/null", "/dev/null"),
    "read from the terminal": lambda: input(),
    "start a thread": lambda: threading.Thread().start(),
    "start a pool of threads": lambda: ThreadPoolExecutor(),
    "open a socket": lambda: socket.socket(),
    "ask the network": lambda: urllib.request.urlopen("http://127.0.0.1"),
    "start a process": lambda: subprocess.run(["true"], check=False),
    "wait in no order": lambda: asyncio.wait([]),
    "import the clock": _imported,
    "import the clock by name": lambda: importlib.import_module("time").time(),
    "import the clock with a function": lambda: __import__("time").time(),
    "find the clock among the modules": lambda: sys.modules["time"].time(),
}


def let_through() -> list[str]:
    """The forbidden things that are not refused here."""
    return [name for name, thing in THINGS.items() if not _is_refused(thing)]


def _is_refused(thing: Callable[[], object]) -> bool:
    try:
        thing()
    except (RestrictedWorkflowAccessError, UserWarning):
        return True
    return False


@workflow.defn(failure_exception_types=[workflow.NondeterminismError])
class Counts:
    @workflow.run
    async def run(self, looks_at_the_clock: bool) -> int:
        runs.append(workflow.info().run_id)
        if looks_at_the_clock:
            time.time()
        return len(runs)


@workflow.defn
class AsksForTypes:
    @workflow.run
    async def run(self) -> list[bool]:
        return [
            isinstance(workflow.now(), datetime),
            isinstance(workflow.now(), str | date),
            isinstance(Path("/dev"), Path),
            isinstance(Path("/dev"), PathLike),
            issubclass(datetime, date),
            issubclass(Path, Path),
            issubclass(Path, PathLike),
        ]


@workflow.defn
class ImportsByName:
    @workflow.run
    async def run(self) -> bool:
        # No file of a workflow has imported that module.
        return _is_refused(lambda: importlib.import_module("select").select([], [], [], 0))


@workflow.defn
class TriesEverywhere:
    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {"init": let_through()}

    @workflow.run
    async def run(self) -> dict[str, list[str]]:
        self.found["run"] = let_through()
        await workflow.wait_condition(lambda: "update" in self.found and "signal" in self.found)
        return self.found

    @workflow.signal
    def signal(self) -> None:
        self.found["signal"] = let_through()

    @workflow.query
    def query(self) -> list[str]:
        return let_through()

    @workflow.update
    async def update(self) -> None:
        self.found["update"] = let_through()

    @update.validator
    def _check(self) -> None:
        if found := let_through():
            raise ValueError(f"in the validator: {found}")


@workflow.defn
class Meets:
    @workflow.run
    async def run(self, stays: bool) -> list[str]:
        if stays:
            with workflow.unsafe.sandbox_unrestricted():
                HAS_COME.set()
                MAY_GO.wait()
        return let_through()


@workflow.defn
class IsEvicted:
    def __init__(self) -> None:
        self.may_go = False

    @workflow.run
    async def run(self) -> list[str]:
        try:
            await workflow.wait_condition(lambda: self.may_go)
        finally:
            LEFT.append(let_through())
        return let_through()

    @workflow.signal
    def go(self) -> None:
        self.may_go = True


@workflow.defn
class Spins:
    @workflow.run
    async def run(self) -> list[str]:
        if not SPUN:
            SPUN.append(workflow.info().run_id)
            while True:
                pass
        return let_through()
