"""Another user of this machine who takes a port, fills one, or prepares the data folder."""

import asyncio
import json
import os
import re
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import psycopg
import pytest
from temporalio.client import Client

from activities.runs import namespace_id
from tests.embedded.amends_up import Running, amends_up, until_answers
from tests.embedded.strangers import Impostor, impostor
from tests.embedded.test_guard import ANOTHER_USER
from tests.support.until import until
from worker.embedded import child
from worker.embedded.errors import BadRequest
from worker.embedded.folder import DataFolder
from worker.embedded.ports import HOST
from worker.embedded.servers import EmbeddedServers


@pytest.fixture
async def stranger() -> AsyncIterator[Impostor]:
    async with impostor() as listening:
        yield listening


async def test_no_address_that_is_handed_out_sends_its_password_to_a_server_that_wants_it_in_clear(
    servers: EmbeddedServers, stranger: Impostor
) -> None:
    handed_out = [url for url in servers.environment().values() if url.startswith("postgresql:")]
    urls = [*handed_out, *(cluster.url() for cluster in servers.clusters)]
    assert len(urls) >= 7
    for url in urls:
        with pytest.raises(psycopg.OperationalError):
            await psycopg.AsyncConnection.connect(re.sub(r":\d+/", f":{stranger.port}/", url))
    assert (stranger.asked, stranger.passwords) == (len(urls), [])


async def test_nobody_is_asked_whether_postgresql_answers_but_the_process_that_was_started(
    servers: EmbeddedServers, stranger: Impostor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await servers.main.answers()
    monkeypatch.setitem(servers.main.port, "postgres", stranger.port)
    assert not await servers.main.answers()
    assert stranger.asked == 0


async def test_who_waits_for_the_port_of_a_killed_server_gets_no_port_or_no_password(
    session_folder: Path,
) -> None:
    async with amends_up(session_folder / "coveted", worker=True) as running:
        ports: dict[str, int] = json.loads((running.data / "ports.json").read_text())
        for server, names in (("temporal", ("temporal", "ui")), ("worker", ("health",))):
            killed = await kill(running, server)
            while running.servers().get(server, killed.pid) == killed.pid:
                for name in names:
                    with pytest.raises(OSError, match="already in use"):
                        socket.create_server((HOST, ports[name]))
                await asyncio.sleep(0.02)
        url = running.environment["AMENDS_AUDIT_URL"]
        await kill(running, "postgres")
        async with impostor(ports["postgres"]) as stranger:
            with pytest.raises(psycopg.OperationalError):
                await psycopg.AsyncConnection.connect(url)
            assert stranger.asked
            assert stranger.passwords == []
        back = await until_answers(lambda: psycopg.AsyncConnection.connect(url))
        await back.close()


async def test_a_worker_does_no_work_for_another_temporal_under_the_address_of_its_own(
    session_folder: Path,
) -> None:
    async with amends_up(session_folder / "replaced", worker=True) as running:
        worker = psutil.Process(running.servers()["worker"])
        address = running.summary["temporal"]
        began_with = await namespace_id(await Client.connect(address))
        await kill(running, "temporal")
        # Without its file the server that comes back is another one, as a stranger's would be.
        for file in running.data.glob("temporal.db*"):
            file.unlink()
        await until(lambda: not child.is_alive(worker))
        log = (running.data / "logs" / "worker.log").read_text()
        assert f"namespace id {await namespace_id(await Client.connect(address))}" in log
        assert f"began with {began_with}" in log


async def kill(running: Running, name: str) -> psutil.Process:
    killed = psutil.Process(running.servers()[name])
    killed.kill()
    await until(lambda: not child.is_alive(killed))
    return killed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away: sudo make test")
@pytest.mark.parametrize("what", [".", "secrets.json", "ports.json", "logs"])
def test_a_data_folder_with_anything_of_another_user_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("secrets.json", "ports.json"):
        (tmp_path / name).write_text("{}")
    os.chown(tmp_path / what, ANOTHER_USER, -1)
    with pytest.raises(BadRequest, match=f"belongs to another user .{ANOTHER_USER}.*--data"):
        DataFolder(tmp_path).hold()


def test_a_data_folder_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    folder = DataFolder(tmp_path)
    folder.hold()
    folder.release()
    # To pass through is what PostgreSQL's system user needs.
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711
