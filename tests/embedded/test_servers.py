"""The embedded servers: what they give, and to whom."""

import psycopg
import pytest

from worker.embedded import databases
from worker.embedded.errors import EmbeddedError
from worker.embedded.servers import EmbeddedServers


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
