"""Runs the worker of `amends up`: `python -m worker run` as a child process."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.embedded.ports import HOST
from worker.embedded.server import Server
from worker.embedded.servers import EmbeddedServers

# The owner of the ledger may change its rules, and no reader needs a worker.
NOT_A_WORKERS = frozenset(
    f"{name}{file}"
    for name in ("AMENDS_MIGRATION_URL", "AMENDS_AUDIT_URL")
    for file in ("", "_FILE")
)


class WorkerProcess(Server):
    """A worker on the embedded servers; up when its `GET /health` says so."""

    # It finishes what runs before it leaves; while the database hangs that takes longer.
    grace_s = 60.0

    def __init__(self, servers: EmbeddedServers) -> None:
        super().__init__("worker", ("health",), servers.folder, servers.ports)
        self._servers = servers

    @property
    def health_address(self) -> str:
        """The host:port of its HTTP endpoints."""
        return f"{HOST}:{self.port['health']}"

    @property
    def handed(self) -> Sequence[str]:
        """The port of its HTTP endpoints."""
        return ("health",)

    @property
    def working_folder(self) -> Path | None:
        """The folder that the process runs in, or None for this one."""
        return None

    def command(self) -> Sequence[str | Path]:
        """The command line of the worker."""
        listener = str(self.listener("health"))
        # -P: the folder we stand in may hold a `worker` of its own.
        return (
            *(sys.executable, "-P", "-m", "worker", "run"),
            *("--health-listener", listener),
            *("--namespace-id", self._servers.temporal.namespace_id),
        )

    def environment(self) -> Mapping[str, str]:
        """The environment of the worker: the user's, since providers of packages and libraries have
        settings under any name, without the addresses that are for others."""
        # The user's TEMPORAL_* may hold keys and TLS of another server.
        settings = {
            **{name: text for name, text in os.environ.items() if not name.startswith("TEMPORAL_")},
            **self._servers.environment(),
            "AMENDS_HEALTH_ADDRESS": self.health_address,
        }
        return {name: text for name, text in settings.items() if name not in NOT_A_WORKERS}

    async def answers(self) -> bool:
        """Whether `GET /health` of the worker answers with 200."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port["health"])
        except OSError:
            return False
        try:
            writer.write(b"GET /health HTTP/1.0\r\n\r\n")
            return b" 200 " in await reader.readline()
        except OSError:
            return False
        finally:
            writer.close()
