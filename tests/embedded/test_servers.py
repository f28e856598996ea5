"""The embedded servers: what they give, and to whom."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support.role_powers import within_reach
from worker.embedded import databases
from worker.embedded.errors import EmbeddedError
from worker.embedded.folder import DataFolder
from worker.embedded.server import reason
from worker.embedded.servers import EmbeddedServers
from worker.errors import Unreachable
from worker.process import migrate
from worker.settings import Settings


async def test_the_owner_owns_the_ledger_database(servers: EmbeddedServers) -> None:
    url = servers.ledger_url("amends_owner")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("CREATE SCHEMA of_the_owner")
        await connection.rollback()
        found = await connection.execute("SELECT current_user, current_database()")
        assert await found.fetchone() == ("amends_owner", "amends")


async def test_options_of_the_environment_do_not_reach_the_set_up_and_a_refused_one_is_named(
    servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on -c no_such=1")
    assert await servers.main.answers()
    await databases.create_main(servers.main.url(), servers.passwords)
    monkeypatch.setenv("PGTZ", "Nowhere/Land")
    assert await servers.main.answers()
    with pytest.raises(EmbeddedError, match="setting TimeZone of this environment"):
        await databases.create_main(servers.main.url(), servers.passwords)


async def test_a_database_that_answers_that_its_disk_is_full_is_not_told_to_be_out_of_reach(
    servers: EmbeddedServers,
) -> None:
    await databases.clone_database(servers.main.url(), "template1", "full", "amends_owner")
    async with await psycopg.AsyncConnection.connect(
        servers.main.url(database="full"), autocommit=True
    ) as connection:
        await connection.execute(
            "CREATE FUNCTION no_room() RETURNS event_trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE disk_full; END$$"
        )
        await connection.execute(
            "CREATE EVENT TRIGGER full_disk ON ddl_command_start EXECUTE FUNCTION no_room()"
        )
    settings = Settings(migration_url=servers.ledger_url("amends_owner", "full"))
    with pytest.raises(Unreachable, match=r"the disk of the .* server is full") as told:
        await migrate(settings)
    assert "reached" not in str(told.value)


async def test_a_connection_that_says_nothing_is_given_up_in_seconds(
    servers: EmbeddedServers,
) -> None:
    async with await psycopg.AsyncConnection.connect(servers.main.url()) as connection:
        found = await connection.execute("SHOW authentication_timeout")
        assert await found.fetchone() == ("5s",)


async def test_one_role_can_not_take_the_connections_of_the_others(
    servers: EmbeddedServers,
) -> None:
    limits = databases.CONNECTION_LIMITS
    assert sum(limits.values()) <= 197
    async with AsyncExitStack() as stack:

        async def connect(role: str, times: int = 1) -> None:
            for _ in range(times):
                url = servers.ledger_url(role)
                await stack.enter_async_context(await psycopg.AsyncConnection.connect(url))

        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            await connect("amends_auditor", limits["amends_auditor"] + 1)
        await connect("amends_worker")
        await connect("amends_owner")


async def test_the_dev_server_has_one_processor_of_two_unless_it_is_told_otherwise(
    servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert servers.temporal.process is not None
    running = psutil.Process(servers.temporal.process.pid).environ()
    assert running["GOMAXPROCS"] == servers.temporal.environment()["GOMAXPROCS"]
    monkeypatch.delenv("GOMAXPROCS", raising=False)
    for cores, limit in ((None, "1"), (1, "1"), (2, "1"), (3, "2"), (64, "2")):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert servers.temporal.environment()["GOMAXPROCS"] == limit
    monkeypatch.setenv("GOMAXPROCS", "7")
    assert servers.temporal.environment()["GOMAXPROCS"] == "7"


# What a role may do to itself, and what shuts it out of the next start.
ITSELF = {
    "amends_auditor": "ALTER ROLE CURRENT_USER SET local_preload_libraries = 'nothing_there'",
    "mock_bank": (
        "ALTER ROLE CURRENT_USER IN DATABASE mock_bank SET session_preload_libraries = 'nothing'"
    ),
    "amends_worker": "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
}


async def test_each_start_gives_the_roles_their_passwords_and_settings_and_no_other_powers(
    servers: EmbeddedServers,
) -> None:
    urls = {role: servers.ledger_url(role) for role in ("amends_worker", "amends_auditor")}
    urls |= {"mock_bank": servers.mock_bank_url()}
    own = {"mock_bank": servers.main.url(database="mock_bank")}
    for role, url in urls.items():
        statement = ITSELF[role].replace("CURRENT_USER", role if role in own else "CURRENT_USER")
        async with await psycopg.AsyncConnection.connect(own.get(role, url)) as connection:
            await connection.execute(statement.encode())
        with pytest.raises(psycopg.OperationalError):
            await psycopg.AsyncConnection.connect(url)
    await databases.create_main(servers.main.url(), servers.passwords)
    assert [await within_reach(url) for url in urls.values()] == [[], [], []]


LOOK = (
    "11:31:44.725 UTC [9333] FATAL:  the database system is not yet accepting connections",
    "11:31:44.725 UTC [9333] DETAIL:  Consistent recovery state has not been yet reached.",
)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            [*LOOK, "x [1] ERROR:  could not write: No space", "x [1] HINT:  Check", *LOOK],
            "ERROR: could not write: No space",
        ),
        (["x [1] PANIC:  no room", "x [2] FATAL:  terminated", *LOOK], "PANIC: no room"),
        (["x [1] FATAL:  the database system is starting up", "last words"], "last words"),
        (["level=info", "Error: can't bind", "usage"], "Error: can't bind"),
        ([], "its log is empty"),
    ],
)
def test_a_server_that_can_not_start_is_told_of_by_the_cause_in_its_log(
    lines: list[str], told: str
) -> None:
    assert reason("\n".join(lines)) == told


def test_a_child_that_ended_is_no_error_where_that_can_not_be_written(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.hold()
    # In the way of the new file, as the end of a disk is.
    (tmp_path / "up.json.new").mkdir()
    with pytest.raises(OSError, match=r"up\.json"):
        folder.record_process("postgres", 1)
    folder.record_process("postgres", None)
    folder.release()
