"""`amends up`, by the position of the failure: before, while it starts, up, while it stops."""

import asyncio
import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from tests.embedded.amends_up import amends_up, begin, processes_of, to_the_end, until_answers
from tests.support.until import DEADLINE_S, until
from worker.embedded import child


@pytest.fixture(scope="session")
async def data(session_folder: Path) -> Path:
    """One folder for all that was up before: a test finds what a user's earlier runs leave."""
    folder = session_folder / "up"
    async with amends_up(folder):
        pass
    return folder


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def write(url: str, value: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        await connection.execute("INSERT INTO kept VALUES (%s)", (value,))


async def written(url: str) -> set[str]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute("SELECT value FROM kept")
        return {value for (value,) in await rows.fetchall()}


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# Before anything starts


async def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    status, out, err = await to_the_end(file)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert str(file) in err
    assert "--data" in err


async def test_a_folder_that_can_not_be_made_is_one_sentence() -> None:
    status, _, err = await to_the_end(Path("/dev/null/amends"))
    assert status == 2
    assert err.count("\n") == 1


@pytest.mark.parametrize("option", ["--postgres-port", "--temporal-port", "--ui-port"])
async def test_a_port_asked_for_and_taken_is_one_sentence(
    data: Path, taken_port: int, option: str
) -> None:
    status, _, err = await to_the_end(data, option, str(taken_port))
    assert status == 2
    assert err.count("\n") == 1
    assert f"port {taken_port} is taken" in err
    assert option in err
    assert processes_of(data) == []


async def test_lost_passwords_are_one_sentence(data: Path) -> None:
    secrets = data / "secrets.json"
    secrets.rename(data / "hidden")
    try:
        status, _, err = await to_the_end(data)
    finally:
        (data / "hidden").rename(secrets)
    assert status == 3
    assert err.count("\n") == 1
    assert "secrets.json is missing" in err


async def test_a_file_of_it_that_can_not_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "ports.json").mkdir()
    status, _, err = await to_the_end(tmp_path)
    assert status == 2
    assert err.count("\n") == 1
    assert "ports.json can't be used" in err


# While it starts


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2])
async def test_ctrl_c_while_it_starts_leaves_nothing(data: Path, after_s: float) -> None:
    process = await begin(data)
    await until((data / "up.json").exists)
    await asyncio.sleep(after_s)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == 0
    assert processes_of(data) == []
    assert not (data / "up.json").exists()


async def test_a_kill_while_it_makes_the_clusters_is_recovered(session_folder: Path) -> None:
    data = session_folder / "killed-early"
    process = await begin(data)
    await until((data / "postgres.new" / "PG_VERSION").exists)
    process.kill()
    await process.communicate()
    async with amends_up(data) as running:
        await write(running.environment["AMENDS_MIGRATION_URL"], "there")
    assert processes_of(data) == []


async def test_a_kept_port_that_is_taken_now_is_replaced(data: Path) -> None:
    async with amends_up(data) as running:
        before = running.summary
    with socket.create_server(("127.0.0.1", int(before["temporal"].split(":")[1]))):
        async with amends_up(data) as running:
            assert running.summary["temporal"] != before["temporal"]
            assert running.summary["web_ui"] == before["web_ui"]


async def test_a_pid_file_that_names_a_stranger_does_not_hurt_it(data: Path) -> None:
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data}/postgres\n")
    async with amends_up(data) as running:
        assert running.servers()["postgres"] != os.getpid()


# Up


async def test_a_second_one_says_who_holds_the_folder(data: Path) -> None:
    async with amends_up(data) as first:
        status, out, _ = await to_the_end(data)
        assert status == 0
        assert json.loads(out) == first.summary | {"joined": True}
        assert first.process.returncode is None


async def test_two_at_once_are_one(data: Path) -> None:
    one, other = await asyncio.gather(begin(data), begin(data))
    await asyncio.wait(
        {asyncio.create_task(p.wait()) for p in (one, other)},
        timeout=DEADLINE_S,
        return_when=asyncio.FIRST_COMPLETED,
    )
    joined, holder = (one, other) if other.returncode is None else (other, one)
    out, _ = await joined.communicate()
    assert joined.returncode == 0
    assert json.loads(out)["supervisor"] == holder.pid
    holder.send_signal(signal.SIGINT)
    await asyncio.wait_for(holder.communicate(), DEADLINE_S)
    assert holder.returncode == 0


async def test_what_it_writes_is_its_owners_alone(data: Path) -> None:
    async with amends_up(data):
        files = files_below(data)
        open_to_others = [f for f in files if stat.S_IMODE(f.stat().st_mode) & 0o077]
    assert {"env", "secrets.json", "up.json", "temporal.db"} <= {file.name for file in files}
    assert open_to_others == []


@pytest.mark.parametrize("server", ["postgres", "temporal"])
async def test_a_server_that_is_killed_comes_back_on_its_port(data: Path, server: str) -> None:
    async with amends_up(data) as running:
        url = running.environment["AMENDS_MIGRATION_URL"]
        await write(url, server)
        killed = running.servers()[server]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: running.servers().get(server, killed) != killed)
        assert server in await until_answers(lambda: written(url))
        client = await until_answers(lambda: Client.connect(running.summary["temporal"]))
        assert client.namespace == "default"


# While it stops, and after


async def test_ctrl_c_stops_everything_and_keeps_the_data(data: Path) -> None:
    async with amends_up(data) as running:
        await write(running.environment["AMENDS_MIGRATION_URL"], "before the stop")
        client = await Client.connect(running.summary["temporal"])
        await client.start_workflow("Unknown", id="before-the-stop", task_queue="nobody")
        before = running.summary
        assert await running.signal(signal.SIGINT) == 0
        assert processes_of(data) == []
        assert not (data / "env").exists()
    async with amends_up(data) as running:
        assert running.summary["web_ui"] == before["web_ui"]
        assert "before the stop" in await written(running.environment["AMENDS_MIGRATION_URL"])
        client = await Client.connect(running.summary["temporal"])
        kept = await client.get_workflow_handle("before-the-stop").describe()
        assert kept.status == WorkflowExecutionStatus.RUNNING
        await client.get_workflow_handle("before-the-stop").terminate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_other_polite_signals_stop_everything_too(data: Path, number: signal.Signals) -> None:
    async with amends_up(data) as running:
        assert await running.signal(number) == 0
        assert processes_of(data) == []


async def test_an_impatient_ctrl_c_stops_everything_too(data: Path) -> None:
    async with amends_up(data) as running:
        running.process.send_signal(signal.SIGINT)
        await until(lambda: "temporal" not in running.servers())
        running.process.send_signal(signal.SIGINT)
        assert await running.signal(signal.SIGINT) == 0
        assert processes_of(data) == []


async def test_what_a_killed_one_left_is_stopped_and_its_data_kept(data: Path) -> None:
    async with amends_up(data) as killed:
        await write(killed.environment["AMENDS_MIGRATION_URL"], "before the kill")
        left = {killed.servers()[name] for name in ("postgres", "target", "temporal")}
        await killed.signal(signal.SIGKILL)
    assert left <= {process.pid for process in processes_of(data)}
    async with amends_up(data) as running:
        assert left.isdisjoint({process.pid for process in processes_of(data)})
        assert running.summary["supervisor"] != killed.summary["supervisor"]
        assert "before the kill" in await written(running.environment["AMENDS_MIGRATION_URL"])
    assert processes_of(data) == []


# With its worker


async def test_a_worker_that_is_killed_comes_back_and_leaves_with_the_servers(data: Path) -> None:
    async with amends_up(data, worker=True) as running:
        killed = running.servers()["worker"]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: running.servers().get("worker", killed) != killed)
        back = psutil.Process(running.servers()["worker"])
        assert await running.signal(signal.SIGINT) == 0
        assert not back.is_running()
        assert processes_of(data) == []


async def test_a_worker_that_a_killed_one_left_is_stopped(data: Path) -> None:
    async with amends_up(data, worker=True) as killed:
        left = psutil.Process(killed.servers()["worker"])
        await killed.signal(signal.SIGKILL)
    assert left.is_running()
    async with amends_up(data):
        assert not child.is_alive(left)
