"""The embedded servers: what they give, and to whom."""

import psycopg

from worker.embedded.servers import EmbeddedServers


async def test_the_owner_owns_the_ledger_database(servers: EmbeddedServers) -> None:
    url = servers.ledger_url("amends_owner")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("CREATE SCHEMA of_the_owner")
        await connection.rollback()
        found = await connection.execute("SELECT current_user, current_database()")
        assert await found.fetchone() == ("amends_owner", "amends")
