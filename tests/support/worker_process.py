"""`python -m worker run` as a process of its own: it may be killed and started again."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil

from tests.support.until import DEADLINE_S, until

ROOT = Path(__file__).parents[2]


class WorkerProcess:
    """A worker with settings of its own. `start` it as often as it was ended."""

    def __init__(self, environment: Mapping[str, str], words: Sequence[str], folder: Path) -> None:
        self._environment, self._words, self._folder = environment, words, folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def health_url(self) -> str:
        return f"http://{self._environment['AMENDS_HEALTH_ADDRESS']}/health"

    async def start(self) -> None:
        """Begin; Temporal holds its work until it listens."""
        assert self._process is None
        ours = {name: value for name, value in os.environ.items() if "TEMPORAL" not in name}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *self._words),
            cwd=self._folder,
            env=ours
            | {"AMENDS_ENV": "development"}
            | dict(self._environment)
            | {"PYTHONPATH": str(self._folder)},
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def until_health(self, status: int) -> None:
        """Wait until `GET /health` answers with this status."""
        await until(lambda: self.has_health(status))

    async def has_health(self, status: int) -> bool:
        """Whether `GET /health` answers with this status."""
        try:
            async with aiohttp.ClientSession() as http, http.get(self.health_url) as answer:
                return answer.status == status
        except aiohttp.ClientConnectionError:
            return False

    async def is_stopped(self) -> bool:
        """Whether it stands still, as by SIGSTOP."""
        assert self._process is not None
        return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

    def wake(self) -> None:
        """It goes on where it stands still, and knows of no pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """As the kernel does when memory runs out."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to finish and leave; returns its exit status."""
        return await self._end(signal.SIGTERM)

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        return await asyncio.wait_for(process.wait(), DEADLINE_S)


@asynccontextmanager
async def worker_process(
    environment: Mapping[str, str],
    module: str = "worker",
    *,
    queues: Sequence[str] = ("payments",),
    folder: Path = ROOT,
) -> AsyncIterator[WorkerProcess]:
    """A worker that is not started yet, and does not outlive the block: of the code in a folder."""
    words = [module, "run", *(word for queue in queues for word in ("--queue", queue))]
    worker = WorkerProcess(environment, words, folder)
    try:
        yield worker
    finally:
        if worker.running:
            await worker.kill()


def free_address() -> str:
    """host:port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return "{}:{}".format(*server.getsockname())
