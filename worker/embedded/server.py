"""Runs a server as a child process: starts it on its ports, waits until it answers, stops it."""

import asyncio
import re
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from worker.embedded import child
from worker.embedded.errors import BadRequest, EmbeddedError
from worker.embedded.folder import DataFolder
from worker.embedded.ports import Ports

_POLL_S = 0.02
# Crash recovery after a kill replays up to max_wal_size of log; on a slow disk that takes a while.
_START_DEADLINE_S = 120.0
# A port may be taken between our look and the server's bind; three times in a row is no chance.
_PORT_ATTEMPTS = 3
# Of two minutes of a start, in which each look leaves two lines.
_TAIL_BYTES = 4_000_000
_SEVERE = re.compile(r"\b(FATAL|PANIC|ERROR): .*")
# What PostgreSQL answers to a look that comes too early.
_NOT_YET = re.compile(
    r"database system is (starting up|not yet accepting|in recovery|shutting down)"
)


class Server(ABC):
    """One child process that listens on one or more ports."""

    stop_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGTERM,)
    grace_s: float = 20.0

    def __init__(self, name: str, port_names: Sequence[str], folder: DataFolder, ports: Ports):
        self.name = name
        self.folder = folder
        self.log = folder.logs / f"{name}.log"
        self.port: dict[str, int] = {}
        self.process: asyncio.subprocess.Process | None = None
        self._port_names = port_names
        self._ports = ports

    async def prepare(self) -> None:
        """Prepare the files that the server needs before its first start."""
        return None

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The program and its arguments, for the ports in `self.port`."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """The environment of the process."""

    @abstractmethod
    async def answers(self) -> bool:
        """Whether the server does its work yet."""

    def listens(self, name: str) -> bool:
        """Whether it is our own process that listens on this port: another program may have been
        quicker, and the answer is its."""
        assert self.process is not None
        try:
            ours = psutil.Process(self.process.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            # Root without CAP_SYS_PTRACE, as in a container, may not look into another user's.
            return True
        return any(c.laddr and c.laddr.port == self.port[name] for c in ours)

    @property
    def handed(self) -> Sequence[str]:
        """The names of the ports whose listeners we open and hand to the process."""
        return ()

    def listener(self, name: str) -> int:
        """The file descriptor of a listener that is handed to the process."""
        return self._ports.listeners[name].fileno()

    @property
    def working_folder(self) -> Path | None:
        """The folder in which the process runs, which its user can enter. None: the current
        folder."""
        return self.folder.path

    @property
    def user(self) -> str | None:
        """The system user that the process runs as; None: the current one."""
        return None

    async def start(self) -> None:
        """Start the server and wait until it answers. Raises EmbeddedError with its last words."""
        await self.prepare()
        for attempt in range(_PORT_ATTEMPTS):
            self.port = {
                name: self._ports.take(name, listen=name in self.handed)
                for name in self._port_names
            }
            if await self._launch(last=attempt == _PORT_ATTEMPTS - 1):
                return

    async def restart(self) -> None:
        """Restart the server on the ports that others know it by."""
        await self._launch(last=True)

    async def _launch(self, last: bool) -> bool:
        written = self._log_size()
        process = await child.spawn(
            self.command(),
            log=self.log,
            environment={**self.environment(), child.TOKEN: self.folder.token},
            user=self.user,
            folder=self.working_folder,
            listeners=[self.listener(name) for name in self.handed],
        )
        self.process = process
        self.folder.record_process(self.name, process.pid)
        if await self._answers_while_it_runs(process):
            return True
        if process.returncode is None:
            await self.stop()
            raise EmbeddedError(
                f"{self.name} did not answer within {_START_DEADLINE_S:.0f} s: see {self.log}"
            )
        return self._died_at_start(process.returncode, self._words_since(written), last)

    async def _answers_while_it_runs(self, process: asyncio.subprocess.Process) -> bool:
        # On a listener that we hold open, a question to a server that has ended waits for ever.
        ended = asyncio.create_task(process.wait())
        looking = asyncio.create_task(self._until_it_answers())
        try:
            await asyncio.wait(
                {looking, ended}, timeout=_START_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if looking.done():
                await looking
            return looking.done()
        finally:
            for task in (looking, ended):
                task.cancel()
            await asyncio.gather(looking, ended, return_exceptions=True)

    async def _until_it_answers(self) -> None:
        while not await self.answers():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    def _died_at_start(self, status: int | None, words: str, last: bool) -> bool:
        self.process = None
        self.folder.record_process(self.name, None)
        if "address already in use" in words.lower():
            renewable = [self._ports.forget(name) for name in self._port_names]
            if not last and any(renewable):
                return False
            ports = ", ".join(map(str, self.port.values()))
            raise BadRequest(f"{self.name} can't listen on {ports}: another program listens there")
        raise EmbeddedError(
            f"{self.name} ended with status {status} while starting: "
            f"{reason(words)} (see {self.log})"
        )

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _words_since(self, offset: int) -> str:
        with self.log.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(offset if offset <= size else 0, size - _TAIL_BYTES))
            return log.read().decode(errors="replace")

    async def stop(self) -> None:
        """Stop the server; nothing happens when it does not run."""
        if self.process is not None:
            await child.stop(self.process, *self.stop_signals, grace_s=self.grace_s)
            self.process = None
            self.folder.record_process(self.name, None)


def reason(words: str) -> str:
    """The line of a server's log that says why the server could not start."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    lines = [line for line in lines if not _NOT_YET.search(line)]
    # PostgreSQL names the cause first, and then what follows from it.
    for line in lines:
        if found := _SEVERE.search(line):
            return " ".join(found[0].split())[:300]
    telling = [line for line in lines if "rror" in line]
    return (telling or lines or ["its log is empty"])[-1][:300]
