"""The real PgBouncer in front of a PostgreSQL server, in transaction mode."""

import asyncio
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.until import until
from tests.support.worker_process import free_address
from worker.embedded.servers import EmbeddedServers

INSTALL = "bash .ci/install-pgbouncer"
# The first one that lets go of prepared statements in transaction mode (DEALLOCATE ALL).
PREPARES_SINCE = (1, 22)
# Of the server, for each role: fewer than any client asks for at once.
POOL_SIZE = 2


def program() -> str:
    """PgBouncer, of a version that prepares; skips the test where there is none."""
    path = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/local/bin:/usr/sbin")
    if path is None or _version(path) < PREPARES_SINCE:
        pytest.skip(f"no PgBouncer of version 1.22 or newer is installed: {INSTALL}")
    return path


def _version(path: str) -> tuple[int, ...]:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0,)


class Bouncer:
    """A running PgBouncer. `through(url)` is the address of a database through it."""

    def __init__(self, server_url: str, port: int) -> None:
        self._server_port, self._port = urlsplit(server_url).port, port

    def through(self, url: str) -> str:
        return url.replace(f":{self._server_port}/", f":{self._port}/")


@asynccontextmanager
async def pgbouncer(
    servers: EmbeddedServers, folder: Path, **more: str | int
) -> AsyncIterator[Bouncer]:
    """PgBouncer before the main cluster, with a pool of two for each role and database."""
    path, port = program(), int(free_address().rpartition(":")[2])
    _configure(servers, folder, port, more)
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            path, folder / "pgbouncer.ini", stdout=log, stderr=log, **_identity(servers.main.user)
        )
        try:
            bouncer = Bouncer(servers.main.url(), port)
            url = bouncer.through(servers.ledger_url("amends_auditor"))
            await until(lambda: process.returncode is not None or _answers(url))
            assert process.returncode is None, (folder / "log").read_text()
            yield bouncer
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _configure(
    servers: EmbeddedServers, folder: Path, port: int, more: Mapping[str, str | int]
) -> None:
    server = urlsplit(servers.main.url())
    settings = {
        "listen_addr": server.hostname,
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": folder / "users",
        "pool_mode": "transaction",
        "default_pool_size": POOL_SIZE,
        "max_prepared_statements": 200,
        "max_client_conn": 500,
        **more,
    }
    folder.mkdir()
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.hostname} port={server.port}\n"
        "[pgbouncer]\n" + "\n".join(lines) + "\n"
    )
    names = ("amends_worker", "amends_auditor", "amends_owner", "mock_bank")
    users = [f'"{name}" "{servers.passwords[name]}"' for name in names]
    (folder / "users").write_text("\n".join(users) + "\n")
    # It refuses to run as root, as PostgreSQL does.
    if servers.main.user is not None:
        for each in (folder, *folder.iterdir()):
            shutil.chown(each, servers.main.user)


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


async def _answers(url: str) -> bool:
    try:
        connection = await psycopg.AsyncConnection.connect(url, connect_timeout=5, options="")
    except psycopg.OperationalError:
        return False
    await connection.close()
    return True
