"""Runs `amends up`: the embedded servers and a worker until Ctrl-C, and stops them all at the
end."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.words import plain
from worker.embedded import child
from worker.embedded.errors import EmbeddedError, FolderHeld
from worker.embedded.folder import write_private
from worker.embedded.server import Server
from worker.embedded.servers import EmbeddedServers
from worker.embedded.worker_process import WorkerProcess

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# What ran this long was well: the next pause is a short one again.
_WELL_AFTER_S = 60.0
# A holder that starts or stops is done within this, unless it recovers from a crash.
_JOIN_DEADLINE_S = 60.0
_JOIN_POLL_S = 0.1
_SHOWN = ("since", "web_ui", "health", "temporal", "guarded")
_UNGUARDED = (
    "  warning   every user of this machine can reach Temporal and its Web UI, and so start and "
    "approve sagas: this machine lets us make no network namespace (see docs/security.md)"
)

Migrate = Callable[[Mapping[str, str]], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Up:
    """One run of `amends up`.

    asked: ports by name; migrate: called with the environment of the servers before the worker
    starts (None: the servers alone, no migration and no worker); as_json: one line of JSON when
    all is up, instead of the summary, and the rest on stderr.
    """

    data: Path
    migrate: Migrate | None
    asked: Mapping[str, int] = field(default_factory=dict)
    target_url: str | None = None
    as_json: bool = False

    async def run(self) -> int:
        """Run until Ctrl-C; returns the exit status: 0 then, or when another one is up and well
        here."""
        deadline = time.monotonic() + _JOIN_DEADLINE_S
        with _Signals() as signals:
            try:
                while not await self._served_or_joined(signals, deadline):  # noqa: ASYNC110
                    await asyncio.sleep(_JOIN_POLL_S)
            except asyncio.CancelledError:
                if not signals.received:
                    raise
                self._say("stopped")
        return 0

    async def _served_or_joined(self, signals: "_Signals", deadline: float) -> bool:
        try:
            await self._serve(signals)
        except FolderHeld as held:
            if not await self._joined(held.holder):
                if time.monotonic() > deadline:
                    raise _held_too_long(self.data, held.holder) from None
                return False
        return True

    async def _serve(self, signals: "_Signals") -> None:
        """Serve until the task is cancelled: then the worker leaves first, Temporal next,
        PostgreSQL last."""
        servers = EmbeddedServers(self.data, asked=self.asked, target_url=self.target_url)
        async with servers, AsyncExitStack() as stack:
            self._tell_opened(servers)
            kept: list[Server] = [*servers.clusters, servers.temporal]
            environment = servers.environment()
            if self.migrate is not None:
                await self.migrate(environment)
                worker = WorkerProcess(servers)
                stack.push_async_callback(worker.stop)
                signals.worker = worker
                await worker.start()
                environment["AMENDS_HEALTH_ADDRESS"] = worker.health_address
                kept.append(worker)
            self._publish(servers, environment)
            async with asyncio.TaskGroup() as keepers:
                for server in kept:
                    keepers.create_task(self._keep_running(server))

    async def _keep_running(self, server: Server) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            if server.process is not None:
                started = time.monotonic()
                status = await server.process.wait()
                if time.monotonic() - started > _WELL_AFTER_S:
                    pause_s = _FIRST_PAUSE_S
                self._say(
                    f"{server.name} ended with status {status}; "
                    f"starting it again in {pause_s:g} s (see {server.log})"
                )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            try:
                await server.restart()
                self._say(f"{server.name} is up again")
            except EmbeddedError as error:
                self._say(f"{error}; trying again in {pause_s:g} s")

    def _publish(self, servers: EmbeddedServers, environment: Mapping[str, str]) -> None:
        folder = servers.folder
        write_private(folder.env_file, _exports(environment))
        health = environment.get("AMENDS_HEALTH_ADDRESS")
        folder.record(
            ready=True,
            web_ui=environment["AMENDS_WEB_UI_URL"],
            health=f"http://{health}/health" if health else None,
            temporal=environment["TEMPORAL_ADDRESS"],
            guarded=servers.temporal.guarded,
        )
        self._summarize(folder.read_up(), joined=False)

    async def _joined(self, holder: dict[str, Any] | None) -> bool:
        """Report the holder of the folder, once it is up. False while it starts or stops."""
        # What a killed holder left may say ready, until the present one has written its own.
        if holder is None or not holder["ready"] or not child.by_mark(holder["supervisor"]):
            return False
        for name in ("web_ui", "health"):
            if holder[name] and not await _listens(holder[name]):
                return False
        self._summarize(holder, joined=True)
        return True

    def _summarize(self, up: Mapping[str, Any], *, joined: bool) -> None:
        data = self.data.resolve()
        if self.as_json:
            shown = {"data": str(data), "joined": joined, "supervisor": up["supervisor"]["pid"]}
            shown |= {name: up[name] for name in _SHOWN}
            _print(json.dumps(shown), sys.stdout)
            return
        holder = f"process {up['supervisor']['pid']} since {up['since']}"
        self._say(f"Amends is already up: {holder}" if joined else "Amends is up")
        self._say(f"  Web UI    {up['web_ui']}")
        if up["health"]:
            self._say(f"  health    {up['health']}")
        if not up["guarded"]:
            self._say(_UNGUARDED)
        self._say(f"  data      {data} (logs in {data / 'logs'})")
        self._say('  settings  eval "$(amends env)"')
        if not joined:
            self._say("Ctrl-C stops everything")

    def _tell_opened(self, servers: EmbeddedServers) -> None:
        opened = {path for cluster in servers.clusters for path in cluster.opened}
        for folder in sorted(opened - {servers.folder.path}):
            self._say(f"opened {folder} (o+x) for the system user that runs PostgreSQL")

    def _say(self, line: str) -> None:
        _print(plain(line), sys.stderr if self.as_json else sys.stdout)


class _Signals:
    """The signal handlers: the first signal cancels the task that runs us; the next ones end the
    worker's grace."""

    def __init__(self) -> None:
        self.received = False
        self.worker: WorkerProcess | None = None
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> "_Signals":
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)

    def _on_signal(self) -> None:
        if not self.received and self._task is not None:
            self.received = True
            self._task.cancel()
        elif self.worker is not None and self.worker.process is not None:
            # Never a second cancel: it would cut the orderly stop short and leave servers behind.
            with contextlib.suppress(ProcessLookupError):
                self.worker.process.kill()


def _exports(environment: Mapping[str, str]) -> str:
    lines = []
    for name, value in environment.items():
        quoted = value.replace("'", "'\\''")
        lines.append(f"export {name}='{quoted}'\n")
    return "".join(lines)


async def _listens(url: str) -> bool:
    host, _, port = url.split("/")[2].partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


def _held_too_long(data: Path, holder: dict[str, Any] | None) -> EmbeddedError:
    process = child.by_mark(holder["supervisor"]) if holder else None
    who = f"process {process.pid} ({' '.join(process.cmdline())})" if process else "a process"
    return EmbeddedError(
        f"{data.resolve()} is held by {who} whose servers don't answer: "
        f"stop it, or choose another folder with --data"
    )


def _print(line: str, stream: Any) -> None:
    # The terminal may be gone; that must not keep us from stopping the servers.
    with contextlib.suppress(OSError):
        print(line, file=stream, flush=True)
