"""`amends rebuild` on a real ledger."""

import psycopg
import pytest
from psycopg import AsyncConnection

from tests.starter.conftest import Command
from worker.embedded.servers import EmbeddedServers

pytestmark = pytest.mark.usefixtures("agent")


@pytest.fixture
def superuser(servers: EmbeddedServers, settings: dict[str, str]) -> str:
    name = psycopg.conninfo.conninfo_to_dict(settings["AMENDS_AUDIT_URL"])["dbname"]
    return psycopg.conninfo.make_conninfo(servers.main.url(), dbname=str(name))


async def damage(url: str, statement: str) -> None:
    async with await AsyncConnection.connect(url) as connection:
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement.encode())


async def test_a_damaged_table_is_put_right_and_told(command: Command, superuser: str) -> None:
    await damage(superuser, "UPDATE ledger.policies SET currency = 'XXX'")
    assert (await command("verify")).status == 1
    done = await command("rebuild", "policies")
    assert (done.status, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first.startswith("policies: ")
    assert " events in " in first
    assert "rows were wrong, 0 were missing, 0 had no event" in second
    assert (await command("verify")).status == 0


async def test_with_json_it_is_one_document(command: Command) -> None:
    done = await command("rebuild", "spend_windows", "--json")
    assert done.status == 0
    assert set(done.json) == {*("table", "events", "rows", "wrong", "missing", "strays", "seconds")}
    assert done.json["table"] == "spend_windows"
    assert (done.json["wrong"], done.json["missing"], done.json["strays"]) == (0, 0, 0)


async def test_under_another_role_it_is_refused(
    command: Command, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENDS_MIGRATION_URL", settings["AMENDS_DATABASE_URL"])
    done = await command("rebuild", "agents")
    assert done.status == 2
    assert "only the role that owns ledger.agents may rebuild it" in done.err


async def test_without_the_owners_address_it_says_so(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AMENDS_MIGRATION_URL")
    done = await command("rebuild", "agents")
    assert done.status == 3
    assert "AMENDS_MIGRATION_URL is not set: " in done.err


async def test_an_event_of_a_newer_version_is_status_1_and_changes_nothing(
    command: Command, superuser: str
) -> None:
    await damage(superuser, "UPDATE ledger.event_log SET schema_version = schema_version + 1")
    done = await command("rebuild", "agents")
    await damage(superuser, "UPDATE ledger.event_log SET schema_version = schema_version - 1")
    assert done.status == 1
    assert "AgentRegistered version 2 is not known" in done.err
    assert (await command("verify")).status == 0
