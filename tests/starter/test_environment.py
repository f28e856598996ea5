"""Where the servers are: the environment first, then the `amends up` of this folder."""

import json
import os
from pathlib import Path

import click
import pytest

from ledger.errors import DatabaseUnavailable
from ledger.processes import start_of
from starter.cli import servers
from starter.client.environment import (
    FOLDER,
    LedgerAddress,
    is_up,
    setting,
    settings,
    up_settings,
)
from starter.client.errors import Unreachable
from starter.client.reading import reading

LINES = """export AMENDS_AUDIT_URL='postgresql://amends_auditor:a%27b$c@127.0.0.1:1/amends'
export TEMPORAL_ADDRESS='127.0.0.1:2'
export AMENDS_ENV='development'
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of an `amends up` that runs: this very process."""
    write_up(tmp_path, pid=os.getpid(), start=start_of(os.getpid()))
    return tmp_path


def write_up(folder: Path, pid: int, start: str) -> None:
    (folder / "env").write_text(LINES)
    (folder / "up.json").write_text(json.dumps({"supervisor": {"pid": pid, "start": start}}))


def test_a_running_up_completes_the_environment(folder: Path) -> None:
    found = settings({"PATH": "/bin", "AMENDS_ENV": "production"}, folder)
    assert found["TEMPORAL_ADDRESS"] == "127.0.0.1:2"
    assert found["AMENDS_AUDIT_URL"] == "postgresql://amends_auditor:a%27b$c@127.0.0.1:1/amends"
    assert found["AMENDS_ENV"] == "production"


@pytest.mark.parametrize(
    "name", ["TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "AMENDS_AUDIT_URL", "AMENDS_AUDIT_URL_FILE"]
)
def test_whoever_names_a_server_gets_none_of_the_folder(folder: Path, name: str) -> None:
    assert settings({name: "mine"}, folder) == {name: "mine"}


SECRETS = {
    "AMENDS_DATABASE_URL": "worker",
    "AMENDS_MIGRATION_URL": "migrate",
    "AMENDS_AUDIT_URL": "reader",
    "AMENDS_AUDIT_URL_FILE": "reader",
    "AMENDS_MOCK_BANK_URL": "worker migrate",
    "AMENDS_POSTGRES_TARGET_URL": "worker",
    "TEMPORAL_API_KEY": "worker",
}


@pytest.mark.parametrize("command", [servers.worker, servers.migrate], ids=["worker", "migrate"])
@pytest.mark.parametrize("of_the_folder", [True, False])
def test_a_command_gets_the_secrets_that_it_needs_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: click.Command, of_the_folder: bool
) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr(os, "execve", lambda _, __, environment: given.update(environment))
    monkeypatch.chdir(tmp_path)
    for name in (*SECRETS, "TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    if of_the_folder:
        (tmp_path / FOLDER).mkdir()
        write_up(tmp_path / FOLDER, os.getpid(), start_of(os.getpid()))
        lines = "".join(f"export {name}=secret\n" for name in SECRETS)
        (tmp_path / FOLDER / "env").write_text(lines)
    else:
        for name in SECRETS:
            monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("AMENDS_LOG_FORMAT", "json")
    assert command.callback is not None
    with click.Context(command):
        command.callback(())
    needed = {name for name, of in SECRETS.items() if command.name in of.split()}
    assert given.keys() & SECRETS.keys() == needed
    assert given["AMENDS_LOG_FORMAT"] == "json"


def test_the_servers_of_another_user_are_not_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(Unreachable, match="belongs to another user"):
        settings({}, folder)
    with pytest.raises(Unreachable, match="belongs to another user"):
        up_settings(folder)
    assert settings({"TEMPORAL_ADDRESS": "mine"}, folder) == {"TEMPORAL_ADDRESS": "mine"}


@pytest.mark.parametrize("made", ["link", "pipe"])
def test_settings_are_read_from_a_file_of_the_folder_only(folder: Path, made: str) -> None:
    (folder / "env").rename(folder / "other")
    if made == "link":
        (folder / "env").symlink_to(folder / "other")
    else:
        os.mkfifo(folder / "env")
    with pytest.raises(Unreachable, match=r"env (can't be read|is no file)"):
        settings({}, folder)


def test_an_empty_setting_is_none(folder: Path) -> None:
    assert settings({"TEMPORAL_ADDRESS": ""}, folder)["AMENDS_AUDIT_URL"]


def test_what_a_killed_up_left_behind_does_not_count_and_a_folder_without_up_is_told(
    tmp_path: Path,
) -> None:
    with pytest.raises(Unreachable, match="start it"):
        up_settings(tmp_path)
    write_up(tmp_path, pid=os.getpid(), start=start_of(os.getppid()) + "0")
    assert not is_up(tmp_path)
    assert settings({}, tmp_path) == {}
    with pytest.raises(Unreachable, match="no amends up runs"):
        up_settings(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"supervisor": 1}', '{"supervisor": {"pid": "x"}}'])
def test_an_unreadable_up_json_does_not_count(folder: Path, text: str) -> None:
    (folder / "up.json").write_text(text)
    assert not is_up(folder)


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("postgresql://x\n")
    assert setting("AMENDS_AUDIT_URL", {"AMENDS_AUDIT_URL_FILE": str(file)}) == "postgresql://x"
    with pytest.raises(Unreachable, match="AMENDS_AUDIT_URL_FILE can't be read"):
        setting("AMENDS_AUDIT_URL", {"AMENDS_AUDIT_URL_FILE": str(tmp_path / "nothing")})
    assert setting("AMENDS_AUDIT_URL", {}) is None


async def test_a_ledger_out_of_reach_is_told_by_its_cause_where_amends_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".amends"
    nowhere = LedgerAddress("postgresql://nobody@127.0.0.1:1/amends")
    with pytest.raises(Unreachable, match="run amends up here"):
        async with reading(nowhere):
            raise DatabaseUnavailable("PostgreSQL: DiskFull (53100)")
    folder.mkdir()
    write_up(folder, pid=os.getpid(), start=start_of(os.getpid()))
    with pytest.raises(Unreachable, match=r"DiskFull \(53100\).*logs/postgres\.log"):
        async with reading(nowhere):
            raise DatabaseUnavailable("PostgreSQL: DiskFull (53100)")
