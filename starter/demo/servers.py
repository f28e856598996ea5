"""The servers of the tour: an `amends up` of its own, in a folder of its own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console

from starter.client.environment import is_up, up_settings
from starter.demo.errors import DemoServersFailed

# The first start makes two database clusters; on a slow disk that takes its time.
START_DEADLINE_S = 90
STOP_DEADLINE_S = 60


class DemoServers:
    """The servers of the tour, running inside `async with`: joined if KEEP=1 left them up (and then
    left up again), else started on empty data. `settings`: of the worker, beside its own."""

    def __init__(
        self, data: Path, keep: bool, console: Console, settings: Mapping[str, str]
    ) -> None:
        self._data, self._keep, self._console = data, keep, console
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self.environment: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        if is_up(self._data):
            self._console.print(f"joined the servers that KEEP=1 left up in {self._data}")
        else:
            shutil.rmtree(self._data, ignore_errors=True)
            await self._start()
        self.environment = up_settings(self._data)
        return self

    async def _start(self) -> None:
        self._data.parent.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, "-m", "worker", "up", "--data", str(self._data), "--json")
        # A session of its own: Ctrl-C reaches the tour, which then stops the servers in order.
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL if self._keep else None,
            env={**os.environ, **self._settings},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            await self._stop()
            raise DemoServersFailed(f"amends up did not start: see {self._data / 'logs'}")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process and not self._keep:
            self._console.print(
                "\nstopping the servers (make demo KEEP=1 keeps them up, and the links)"
            )
            await self._stop()
            return
        pid = self.up()["supervisor"]["pid"]
        self._console.print("\nthe servers stay up")
        self._console.print(f"  Web UI    {self.web_ui}")
        self._console.print(f"  use them  source {self._data}/env")
        self._console.print(f"  stop them kill {pid}")

    async def _stop(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self._process.wait(), STOP_DEADLINE_S)

    def up(self) -> dict[str, Any]:
        """The up.json of the supervisor."""
        found: dict[str, Any] = json.loads((self._data / "up.json").read_text())
        return found

    @property
    def web_ui(self) -> str:
        """The address of the Temporal Web UI."""
        return self.environment["AMENDS_WEB_UI_URL"]

    def kill_worker(self) -> int:
        """Kill the worker with SIGKILL, in the middle of its work; returns its process id."""
        pid: int | None = self.up()["processes"].get("worker")
        if pid is None:
            raise DemoServersFailed("no worker runs under the supervisor")
        os.kill(pid, signal.SIGKILL)
        return pid
