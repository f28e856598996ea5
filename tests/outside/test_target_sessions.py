"""The sessions of the provider `postgres` on its target server."""

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from activities.providers.postgres.provider import KEPT, PostgresProvider
from activities.providers.postgres.spec import RoleSpec
from activities.providers.provider import Marker
from tests.support.until import until

ROLE = "postgres.role"


async def test_a_session_serves_many_calls_holds_nothing_between_them_and_may_be_lost(
    target_url: str, target_superuser_url: str
) -> None:
    url = make_conninfo(target_superuser_url, dbname="postgres")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def seen(query: str) -> list[tuple[Any, ...]]:
            return await (await connection.execute(query.encode())).fetchall()

        ours = (
            "SELECT pid FROM pg_stat_activity WHERE usename = 'amends_provisioner' "
            "AND application_name = 'amends'"
        )
        others = await seen(ours)

        async def own() -> list[tuple[Any, ...]]:
            return [each for each in await seen(ours) if each not in others]

        provider, name = PostgresProvider(target_url), f"app-{uuid4().hex[:8]}"
        marker = Marker(f"resource/dev/{name}", "change/shop-1")
        for _ in range(3):
            await provider.apply(ROLE, name, RoleSpec(), marker)
            [[pid]] = await own()
            assert await seen(f"SELECT FROM pg_locks WHERE pid = {pid}") == []
        await connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert await provider.read(ROLE, name, RoleSpec()) is not None
        await provider.delete(
            ROLE, name, RoleSpec(), resource=marker.resource, allow_irreversible=False
        )
        assert len(await own()) == 1
        many = [provider.read(ROLE, name, RoleSpec()) for _ in range(3 * KEPT)]
        await asyncio.gather(*many)
        await until(lambda: _are(own(), KEPT))
        await provider.close()
        await until(lambda: _are(own(), 0))


async def _are(found: Awaitable[list[Any]], count: int) -> bool:
    return len(await found) == count
