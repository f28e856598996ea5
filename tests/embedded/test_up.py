"""`amends up`, by the position of the failure: before, while it starts, up, while it stops."""

import asyncio
import json
import os
import signal
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import Popen

import psutil
import psycopg
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from tests.embedded.amends_up import (
    Running,
    amends_up,
    begin,
    processes_of,
    to_the_end,
    until_answers,
)
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


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


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


async def one_sentence(status: int, data: Path, *options: str, within: Sequence[str] = ()) -> str:
    """What is said by one that ends with this status and prints nothing else."""
    *ended, told = await to_the_end(data, *options, within=within)
    assert ended == [status, ""]
    assert told.count("\n") == 1
    return told


async def kill(running: Running, name: str) -> None:
    """Kill one of its processes and wait until another one is in its place."""
    killed = running.servers()[name]
    os.kill(killed, signal.SIGKILL)
    await until(lambda: running.servers().get(name, killed) != killed)


# Before anything starts


async def test_a_file_in_the_place_of_one_of_its_folders_or_files_is_one_sentence(
    tmp_path: Path,
) -> None:
    file = tmp_path / "file"
    file.touch()
    told = await one_sentence(2, file)
    assert str(file) in told
    assert "--data" in told
    await one_sentence(2, Path("/dev/null/amends"))
    (tmp_path / "ports.json").mkdir()
    assert "ports.json can't be used" in await one_sentence(2, tmp_path)


@pytest.mark.parametrize("option", ["--postgres-port", "--temporal-port", "--ui-port"])
async def test_a_port_asked_for_and_taken_is_one_sentence(
    data: Path, taken_port: int, option: str
) -> None:
    told = await one_sentence(2, data, option, str(taken_port))
    assert f"port {taken_port} is taken" in told
    assert option in told
    assert processes_of(data) == []


async def test_a_target_of_ones_own_is_named_in_the_settings_and_not_on_the_command_line(
    data: Path,
) -> None:
    told = await one_sentence(2, data, "--own-target")
    assert "AMENDS_POSTGRES_TARGET_URL is not set" in told


async def test_one_port_for_two_servers_is_one_sentence(data: Path, free_port: int) -> None:
    both = (f"--temporal-port={free_port}", f"--ui-port={free_port}")
    told = await one_sentence(2, data, *both)
    assert f"--temporal-port and --ui-port are both {free_port}" in told


async def test_lost_passwords_are_one_sentence(data: Path) -> None:
    secrets = data / "secrets.json"
    secrets.rename(data / "hidden")
    try:
        assert "secrets.json is missing" in await one_sentence(3, data)
    finally:
        (data / "hidden").rename(secrets)


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


async def test_one_that_is_up_gives_its_files_to_its_owner_alone_and_a_second_one_its_summary(
    data: Path,
) -> None:
    async with amends_up(data) as first:
        files = files_below(data)
        open_to_others = [f for f in files if stat.S_IMODE(f.stat().st_mode) & 0o077]
        assert {"env", "secrets.json", "up.json", "temporal.db"} <= {file.name for file in files}
        assert open_to_others == []
        status, out, _ = await to_the_end(data)
        assert (status, json.loads(out)) == (0, first.summary | {"joined": True})
        assert first.process.returncode is None
        assert await first.signal(signal.SIGTERM) == 0
        assert processes_of(data) == []


@pytest.fixture
def two_of_the_owner(data: Path) -> Iterator[tuple[Popen[bytes], Popen[bytes]]]:
    """Two processes of PostgreSQL's user: a stranger that runs, and a dead one nobody reaps."""
    owner = (data / "postgres").stat().st_uid
    with Popen(["sleep", "600"], user=owner) as runs, Popen(["true"], user=owner) as ended:
        yield runs, ended
        runs.kill()


async def test_a_pid_file_of_a_crash_stops_no_start_and_hurts_no_stranger(
    data: Path, two_of_the_owner: tuple[Popen[bytes], Popen[bytes]]
) -> None:
    stranger, dead = two_of_the_owner
    await until(lambda: psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE)
    for written in (f"{stranger.pid}\n{data}/postgres\n", f"{dead.pid}\n{data}/postgres\n", ""):
        (data / "postgres" / "postmaster.pid").write_text(written)
        async with amends_up(data):
            pass
    assert stranger.poll() is None


async def test_what_is_killed_comes_back_on_its_port_and_leaves_with_the_rest(data: Path) -> None:
    async with amends_up(data, worker=True) as running:
        url = running.environment["AMENDS_MIGRATION_URL"]
        await write(url, "before the kills")
        inside = psutil.Process(running.servers()["temporal"]).children()
        for name in ("worker", "temporal", "postgres"):
            await kill(running, name)
        assert not [server for server in inside if child.is_alive(server)]
        assert "before the kills" in await until_answers(lambda: written(url))
        client = await until_answers(lambda: Client.connect(running.summary["temporal"]))
        assert client.namespace == "default"
        # It ends by itself where it met no server, and is started again.
        await until(lambda: "worker" in running.servers())
        back = psutil.Process(running.servers()["worker"])
        assert await running.signal(signal.SIGHUP) == 0
        assert not back.is_running()
        assert processes_of(data) == []


async def test_a_server_that_recovers_onto_a_disk_without_room_says_that_and_not_that_it_starts(
    data: Path,
) -> None:
    async with amends_up(data) as running:
        url = running.environment["AMENDS_MIGRATION_URL"]
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(
                "CREATE TABLE large AS SELECT repeat('x', 900) AS text "
                "FROM generate_series(1, 30000)"
            )
        postgres = psutil.Process(running.servers()["postgres"])
        await running.signal(signal.SIGKILL)
        await child.end(postgres, grace_s=0)
    # A limit of the system stands in for the end of the disk: no file grows beyond 8 (or 16) MB.
    told = await one_sentence(3, data, within=limited(16384))
    assert "while starting: " in told
    assert "File too large" in told
    assert "accepting connections" not in told


async def test_a_first_start_on_a_disk_without_room_says_that(session_folder: Path) -> None:
    told = await one_sentence(3, session_folder / "small", within=limited(256))
    assert "initdb of " in told
    assert "File too large" in told


def limited(blocks: int) -> tuple[str, ...]:
    """The command under which no file grows beyond so many blocks (512 or 1,024 bytes)."""
    return ("sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh")


# While it stops, and after


async def test_ctrl_c_stops_everything_and_the_next_start_has_the_data_and_the_ports_that_are_free(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with amends_up(data) as running:
        await write(running.environment["AMENDS_MIGRATION_URL"], "before the stop")
        client = await Client.connect(running.summary["temporal"])
        await client.start_workflow("Unknown", id="before-the-stop", task_queue="nobody")
        before = running.summary
        assert await running.signal(signal.SIGINT) == 0
        assert processes_of(data) == []
        assert not (data / "env").exists()
    with socket.create_server(("127.0.0.1", int(before["temporal"].split(":")[1]))):
        target = "postgresql://amends_provisioner:hidden@127.0.0.1:1/postgres"
        monkeypatch.setenv("AMENDS_POSTGRES_TARGET_URL", target)
        async with amends_up(data, "--own-target") as running:
            assert running.environment["AMENDS_POSTGRES_TARGET_URL"] == target
            assert "target" not in running.servers()
            assert running.summary["temporal"] != before["temporal"]
            assert running.summary["web_ui"] == before["web_ui"]
            assert "before the stop" in await written(running.environment["AMENDS_MIGRATION_URL"])
            client = await Client.connect(running.summary["temporal"])
            kept = client.get_workflow_handle("before-the-stop")
            assert (await kept.describe()).status == WorkflowExecutionStatus.RUNNING
            await kept.terminate()


async def test_an_impatient_ctrl_c_stops_everything_too(data: Path) -> None:
    async with amends_up(data) as running:
        running.process.send_signal(signal.SIGINT)
        await until(lambda: "temporal" not in running.servers())
        running.process.send_signal(signal.SIGINT)
        assert await running.signal(signal.SIGINT) == 0
        assert processes_of(data) == []


async def test_what_a_killed_one_left_is_stopped_and_its_data_kept(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_THE_USER", "hidden")
    async with amends_up(data, worker=True) as killed:
        await write(killed.environment["AMENDS_MIGRATION_URL"], "before the kill")
        servers = ("postgres", "target", "temporal", "worker")
        worker = psutil.Process(killed.servers()["worker"]).environ()
        assert {"AMENDS_MIGRATION_URL", "AMENDS_AUDIT_URL"} & set(worker) == set()
        assert worker["AMENDS_DATABASE_URL"] == killed.environment["AMENDS_DATABASE_URL"]
        temporal = psutil.Process(killed.servers()["temporal"]).environ()
        assert [name for name in temporal if name.startswith("AMENDS_")] == [child.TOKEN]
        assert "KEY_OF_THE_USER" not in temporal
        left = [psutil.Process(killed.servers()[name]) for name in servers]
        await killed.signal(signal.SIGKILL)
    assert all(process.is_running() for process in left)
    async with amends_up(data) as running:
        assert not [process for process in left if child.is_alive(process)]
        assert running.summary["supervisor"] != killed.summary["supervisor"]
        assert "before the kill" in await written(running.environment["AMENDS_MIGRATION_URL"])
    assert processes_of(data) == []
