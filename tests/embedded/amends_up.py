"""`python -m worker up` as a process of its own, as a person runs it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg

Answer = TypeVar("Answer")

# Well above a start after a crash on a busy machine; only a broken one takes so long.
DEADLINE_S = 60.0


@dataclass
class Running:
    """One that is up: `summary` is its line of JSON."""

    data: Path
    process: asyncio.subprocess.Process
    summary: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        lines = (self.data / "env").read_text().splitlines()
        pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
        return {name: value.strip("'") for name, value in pairs}

    def servers(self) -> dict[str, int]:
        """The process ids of the servers that run now, by name; none once all has stopped."""
        file = self.data / "up.json"
        running: dict[str, int] = json.loads(file.read_text())["processes"] if file.exists() else {}
        return running

    async def signal(self, number: signal.Signals) -> int:
        """Send it and wait for the end; returns the exit status."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), DEADLINE_S)


async def begin(
    data: Path, *options: str, worker: bool = False, within: Sequence[str] = ()
) -> asyncio.subprocess.Process:
    """Start it, without waiting for anything. Without a worker unless a test is about it: the
    servers alone are up in a fraction of the time. `within`: the command that runs it."""
    return await asyncio.create_subprocess_exec(
        *within,
        *(sys.executable, "-m", "worker", "up", "--json", "--data", str(data)),
        *(() if worker else ("--no-worker",)),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def to_the_end(
    data: Path, *options: str, within: Sequence[str] = ()
) -> tuple[int | None, str, str]:
    """Its exit status, stdout and stderr, where it ends by itself."""
    process = await begin(data, *options, within=within)
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def amends_up(data: Path, *options: str, worker: bool = False) -> AsyncIterator[Running]:
    """One that is up inside the block, and stopped by Ctrl-C after it if it still runs."""
    process = await begin(data, *options, worker=worker)
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
        assert line, (await process.communicate())[1].decode()
        yield Running(data, process, json.loads(line))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), DEADLINE_S)


def processes_of(data: Path) -> list[psutil.Process]:
    """What runs on the data folder: servers, initdb, supervisors."""
    return [
        process
        for process in psutil.process_iter()
        if any(str(data) in argument for argument in _command_line(process))
    ]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


async def until_answers(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `ask()` gives as soon as it does not fail any more."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await ask()
            except (psycopg.OperationalError, RuntimeError):
                await asyncio.sleep(0.02)
