"""The embedded servers of one data folder: two PostgreSQL clusters and the Temporal dev server."""

import asyncio
import signal
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.embedded import child, databases
from worker.embedded.errors import BadRequest
from worker.embedded.folder import DataFolder
from worker.embedded.ports import Ports
from worker.embedded.postgres import Cluster
from worker.embedded.temporal import NAMESPACE, DevServer

# The worker of a killed supervisor may finish what it does, on servers that still run.
_LEFT_OVER_GRACE_S = 10


class EmbeddedServers:
    """The servers of one data folder, running inside `async with`.

    asked: ports by name (`postgres`, `target`, `temporal`, `ui`, `health`); others are free ones,
    kept across restarts. durable=False is for tests, guarded=False (see `DevServer`) for
    benchmarks. target_url: a target server of your own instead of the second cluster. Raises
    EmbeddedError (one sentence) when something can't run, FolderHeld when another process holds
    the folder.
    """

    def __init__(
        self,
        data: Path,
        *,
        asked: Mapping[str, int] | None = None,
        durable: bool = True,
        guarded: bool = True,
        target_url: str | None = None,
    ) -> None:
        self.folder = DataFolder(data)
        self._asked = asked or {}
        self._durable, self._guarded = durable, guarded
        self._target_url = target_url
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._enter()
        except OSError as error:
            await self._stack.aclose()
            raise BadRequest(
                f"{error.filename or self.folder.path} can't be used ({error.strerror}): free "
                f"space, run as the user that owns it, or choose another folder with --data"
            ) from error
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _enter(self) -> None:
        self._stack.callback(self.folder.release)
        left = self.folder.hold()
        if left:
            await self._stop_left_over(left)
        self._configure()
        await self._start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def _configure(self) -> None:
        folder = self.folder
        self.passwords = folder.secrets(new_data=not (folder.path / "postgres").exists())
        self.ports = Ports(folder.path / "ports.json", self._asked)
        self._stack.callback(self.ports.close)
        self.main = self._cluster("postgres", "postgres")
        self.target = None if self._target_url else self._cluster("target", "target_postgres")
        self.temporal = DevServer(folder, self.ports, guarded=self._guarded)

    def _cluster(self, name: str, secret: str) -> Cluster:
        password = self.passwords[secret]
        return Cluster(name, self.folder, self.ports, password, durable=self._durable)

    async def _start(self) -> None:
        # Registered before the start, so that a start cut short is stopped too.
        for cluster in self.clusters:
            self._stack.push_async_callback(cluster.stop)
        self._stack.push_async_callback(self.temporal.stop)
        await _together([self._start_main(), self._start_target(), self.temporal.start()])

    async def _start_main(self) -> None:
        await self.main.start()
        await databases.create_main(self.main.url(), self.passwords)

    async def _start_target(self) -> None:
        if self.target is not None:
            await self.target.start()
            await databases.create_target(self.target.url(), self.passwords)

    async def _stop_left_over(self, tokens: list[str]) -> None:
        for process in child.left_over(tokens):
            # PostgreSQL takes SIGTERM for "when all clients have left", SIGINT for "now".
            number = signal.SIGINT if child.is_postgres(process) else signal.SIGTERM
            await child.end(process, number, grace_s=_LEFT_OVER_GRACE_S)
        self.folder.record(tokens=[self.folder.token])

    @property
    def clusters(self) -> list[Cluster]:
        """The clusters that run here."""
        return [cluster for cluster in (self.main, self.target) if cluster is not None]

    def ledger_url(self, role: str, database: str = databases.LEDGER_DATABASE) -> str:
        """The URL of the ledger (or a clone of it) for `amends_owner`, `amends_worker`, ..."""
        return self.main.url(role, self.passwords[role], database)

    def mock_bank_url(self, database: str = databases.MOCK_BANK_DATABASE) -> str:
        """The URL of the mock bank's database, as its owner."""
        return self.main.url("mock_bank", self.passwords["mock_bank"], database)

    @property
    def target_url(self) -> str:
        """The URL of the target server, as the provisioner."""
        if self.target is None:
            assert self._target_url is not None
            return self._target_url
        return self.target.url(databases.PROVISIONER, self.passwords[databases.PROVISIONER])

    def environment(self) -> dict[str, str]:
        """The settings by which any program uses these servers."""
        return {
            "AMENDS_ENV": "development",
            "AMENDS_DATABASE_URL": self.ledger_url("amends_worker"),
            "AMENDS_MIGRATION_URL": self.ledger_url("amends_owner"),
            "AMENDS_AUDIT_URL": self.ledger_url("amends_auditor"),
            "AMENDS_MOCK_BANK_URL": self.mock_bank_url(),
            "AMENDS_STATEMENTS": str(self.folder.statements),
            "AMENDS_POSTGRES_TARGET_URL": self.target_url,
            "AMENDS_WEB_UI_URL": self.temporal.web_ui_url,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
        }


async def _together(starts: Iterable[Awaitable[None]]) -> None:
    """Run all at once; the first that fails cancels the others and is raised as itself."""

    async def run(start: Awaitable[None]) -> None:
        await start

    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(run(start))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
