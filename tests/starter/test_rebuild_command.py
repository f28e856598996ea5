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


async def test_a_damaged_table_is_put_right_and_told_in_words_or_as_one_document(
    command: Command, superuser: str
) -> None:
    await damage(superuser, "UPDATE ledger.policies SET currency = 'XXX'")
    assert (await command("verify")).status == 1
    done = await command("rebuild", "policies")
    assert (done.status, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first.startswith("policies: ")
    assert " events in " in first
    assert "rows were wrong, 0 were missing, 0 had no event" in second
    # With --json it is one document. That `verify` finds nothing now, the fixture asserts.
    done = await command("rebuild", "spend_windows", "--json")
    assert done.status == 0
    assert set(done.json) == {*("table", "events", "rows", "wrong", "missing", "strays", "seconds")}
    assert done.json["table"] == "spend_windows"
    assert (done.json["wrong"], done.json["missing"], done.json["strays"]) == (0, 0, 0)


async def test_under_another_role_it_is_refused_and_without_the_owners_address_it_says_so(
    command: Command, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENDS_MIGRATION_URL", settings["AMENDS_DATABASE_URL"])
    done = await command("rebuild", "agents")
    assert done.status == 2
    assert "only the role that owns ledger.agents may rebuild it" in done.err
    monkeypatch.delenv("AMENDS_MIGRATION_URL")
    done = await command("rebuild", "agents")
    assert (done.status, "AMENDS_MIGRATION_URL is not set: " in done.err) == (3, True)


async def test_an_event_of_a_newer_version_is_status_1_and_changes_nothing(
    command: Command, superuser: str
) -> None:
    await damage(superuser, "UPDATE ledger.event_log SET schema_version = schema_version + 1")
    done = await command("rebuild", "agents")
    await damage(superuser, "UPDATE ledger.event_log SET schema_version = schema_version - 1")
    assert done.status == 1
    assert "AgentRegistered version 2 is unknown to this version" in done.err
