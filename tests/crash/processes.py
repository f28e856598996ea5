"""Worker processes of the explorer, which may be killed, frozen and woken."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.orders import Orders


@dataclass
class Process:
    """One worker process. `down`: it is stopped or has ended."""

    pid: int
    down: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def wake(self) -> None:
        """Let a frozen one go on."""
        self.down.clear()
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if not self.ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class WorkerProcesses:
    """Gives worker processes for orders."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._processes: dict[int, Process] = {}
        # Answered in the order in which they were asked for.
        self._unborn: list[asyncio.Future[Process]] = []

    async def start(self, orders: Orders) -> Process:
        """A worker process that carries out the orders."""
        assert self._process.stdin is not None
        born: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._unborn.append(born)
        self._process.stdin.write(orders.to_line())
        return await born

    async def listen(self) -> None:
        """Read what the parent process writes, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            ((what, pid),) = json.loads(line).items()
            if what == "born":
                self._processes[pid] = Process(pid)
                self._unborn.pop(0).set_result(self._processes[pid])
                continue
            self._processes[pid].ended = what == "ended"
            self._processes[pid].down.set()


@asynccontextmanager
async def processes(log: Path) -> AsyncIterator[WorkerProcesses]:
    """Worker processes that do not outlive the block; what they write goes to `log`."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.crash.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    made = WorkerProcesses(process)
    listening = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
