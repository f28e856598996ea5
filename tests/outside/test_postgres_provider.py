import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from activities.providers.postgres.database import Database
from activities.providers.postgres.provider import PostgresProvider
from activities.providers.postgres.server import SETTINGS, Server, lock
from activities.providers.postgres.spec import DatabaseSpec, RoleSpec, SchemaSpec
from activities.providers.provider import (
    Marker,
    Observed,
    ProviderRefused,
    ProviderUnavailable,
    Spec,
)

ROLE, DATABASE, SCHEMA = "postgres.role", "postgres.database", "postgres.schema"


@dataclass(frozen=True)
class Shop:
    """Things of one test, with names of their own, and the marker each gets."""

    provider: PostgresProvider
    superuser_url: str
    app: str
    other: str
    db: str

    def marker(self, name: str, change: str = "change/shop-1") -> Marker:
        return Marker(f"resource/dev/{name}", change)

    async def apply(self, kind: str, name: str, spec: Spec) -> dict[str, object]:
        return await self.provider.apply(kind, name, spec, self.marker(name))

    async def read(self, kind: str, name: str, spec: Spec) -> Observed | None:
        return await self.provider.read(kind, name, spec)

    async def is_there(self, kind: str, name: str, spec: Spec) -> Observed:
        observed = await self.read(kind, name, spec)
        assert observed is not None
        return observed

    async def delete(self, kind: str, name: str, spec: Spec, irreversible: bool = False) -> None:
        await self.provider.delete(
            kind, name, spec, resource=self.marker(name).resource, allow_irreversible=irreversible
        )

    async def sql(self, statement: str, database: str = "postgres") -> None:
        """Behind the provider's back, as the superuser. {app}, {other} and {db} are ours."""
        url = make_conninfo(self.superuser_url, dbname=database)
        names = {name: sql.Identifier(getattr(self, name)) for name in ("app", "other", "db")}
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(sql.SQL(statement).format(**names))


@contextmanager
def refused(reason: str, match: str | None = None) -> Iterator[None]:
    """What is inside is refused by the provider for this reason."""
    with pytest.raises(ProviderRefused, match=match) as refusal:
        yield
    assert refusal.value.reason == reason


@pytest.fixture
async def shop(provider: PostgresProvider, target_superuser_url: str) -> AsyncIterator[Shop]:
    tail = uuid4().hex[:8]
    shop = Shop(provider, target_superuser_url, f"app-{tail}", f"other-{tail}", f"shop-{tail}")
    yield shop
    await shop.sql("DROP DATABASE IF EXISTS {db} WITH (FORCE)")
    await shop.sql("DROP ROLE IF EXISTS {app}")
    await shop.sql("DROP ROLE IF EXISTS {other}")


@pytest.fixture
async def with_roles(shop: Shop) -> Shop:
    await shop.apply(ROLE, shop.app, RoleSpec())
    await shop.apply(ROLE, shop.other, RoleSpec(login=False))
    return shop


@pytest.fixture
async def with_database(with_roles: Shop) -> Shop:
    shop = with_roles
    await shop.apply(DATABASE, shop.db, DatabaseSpec(owner=shop.app))
    return shop


class TestRole:
    async def test_it_is_created_read_altered_and_deleted_and_twice_is_as_once(
        self, shop: Shop
    ) -> None:
        assert await shop.read(ROLE, shop.app, RoleSpec()) is None
        outputs = await shop.apply(ROLE, shop.app, RoleSpec(connection_limit=5))
        assert outputs["role"] == shop.app
        assert await shop.apply(ROLE, shop.app, RoleSpec(connection_limit=5)) == outputs
        observed = await shop.read(ROLE, shop.app, RoleSpec())
        assert observed == Observed({"login": True, "connection_limit": 5}, shop.marker(shop.app))
        await shop.apply(ROLE, shop.app, RoleSpec(login=False))
        observed = await shop.is_there(ROLE, shop.app, RoleSpec())
        assert observed.spec == {"login": False, "connection_limit": -1}
        for _ in range(2):
            await shop.delete(ROLE, shop.app, RoleSpec())
            assert await shop.read(ROLE, shop.app, RoleSpec()) is None

    async def test_that_owns_a_database_stays_and_the_refusal_says_so(
        self, with_database: Shop
    ) -> None:
        shop = with_database
        with refused("in_use", f"owner of database {shop.db}"):
            await shop.delete(ROLE, shop.app, RoleSpec(), irreversible=True)
        assert await shop.read(ROLE, shop.app, RoleSpec()) is not None


class TestDatabase:
    async def test_it_is_created_read_altered_and_deleted(self, with_roles: Shop) -> None:
        shop, spec = with_roles, DatabaseSpec(owner=with_roles.app)
        assert await shop.read(DATABASE, shop.db, spec) is None
        outputs = await shop.apply(DATABASE, shop.db, spec)
        assert outputs["database"] == shop.db
        assert await shop.read(DATABASE, shop.db, spec) == Observed(
            {"owner": shop.app, "connection_limit": -1}, shop.marker(shop.db), {"tables": 0}
        )
        await shop.apply(DATABASE, shop.db, DatabaseSpec(owner=shop.other, connection_limit=9))
        observed = await shop.is_there(DATABASE, shop.db, spec)
        assert observed.spec == {"owner": shop.other, "connection_limit": 9}
        await shop.delete(DATABASE, shop.db, spec)
        assert await shop.read(DATABASE, shop.db, spec) is None

    async def test_applied_or_deleted_twice_or_at_once_is_as_once(self, with_roles: Shop) -> None:
        shop, spec = with_roles, DatabaseSpec(owner=with_roles.app)
        first, second = await asyncio.gather(
            shop.apply(DATABASE, shop.db, spec), shop.apply(DATABASE, shop.db, spec)
        )
        assert first == second
        await asyncio.gather(
            shop.delete(DATABASE, shop.db, spec), shop.delete(DATABASE, shop.db, spec)
        )
        assert await shop.read(DATABASE, shop.db, spec) is None

    @pytest.mark.parametrize(
        "table",
        [
            "CREATE TABLE public.goods (id int)",
            "CREATE TABLE public.goods (id int) PARTITION BY LIST (id)",
            "CREATE MATERIALIZED VIEW public.goods AS SELECT 1 AS id",
            "CREATE SCHEMA shop CREATE TABLE goods (id int)",
        ],
    )
    async def test_with_a_table_it_is_dropped_only_when_that_is_allowed(
        self, with_database: Shop, table: str
    ) -> None:
        shop, spec = with_database, DatabaseSpec(owner=with_database.app)
        await shop.sql(table, shop.db)
        with refused("irreversible", r"1 tables.*--allow-irreversible"):
            await shop.delete(DATABASE, shop.db, spec)
        assert (await shop.is_there(DATABASE, shop.db, spec)).facts == {"tables": 1}
        await shop.delete(DATABASE, shop.db, spec, irreversible=True)
        assert await shop.read(DATABASE, shop.db, spec) is None

    async def test_with_sessions_it_is_dropped_only_when_that_is_allowed(
        self, with_database: Shop
    ) -> None:
        shop, spec = with_database, DatabaseSpec(owner=with_database.app)
        # The provider gives no password: whoever runs the server does.
        await shop.sql("ALTER ROLE {app} PASSWORD 'of-the-shop'")
        theirs = {"user": shop.app, "password": "of-the-shop", "dbname": shop.db}
        url = make_conninfo(shop.superuser_url, **theirs)
        connection = await psycopg.AsyncConnection.connect(url)
        with refused("in_use", "1 other session"):
            await shop.delete(DATABASE, shop.db, spec)
        # A session of a role that the provider may not end is named, and everything stays.
        superuser = make_conninfo(shop.superuser_url, dbname=shop.db)
        async with await psycopg.AsyncConnection.connect(superuser):
            with refused("in_use", r"may not end \(of .*postgres.*\): end them"):
                await shop.delete(DATABASE, shop.db, spec, irreversible=True)
        await shop.delete(DATABASE, shop.db, spec, irreversible=True)
        assert await shop.read(DATABASE, shop.db, spec) is None
        await connection.close()

    async def test_an_owner_that_does_not_exist_or_that_is_not_ours_is_refused_and_leaves_nothing(
        self, shop: Shop
    ) -> None:
        spec = DatabaseSpec(owner=shop.app)
        with refused("missing", "does not exist"):
            await shop.apply(DATABASE, shop.db, spec)
        assert await shop.read(DATABASE, shop.db, spec) is None
        await shop.sql("CREATE ROLE {app}")
        with refused("not_permitted", "SET ROLE"):
            await shop.apply(DATABASE, shop.db, spec)

    async def test_killed_before_it_was_marked_it_is_made_again_or_cleared_away(
        self, with_roles: Shop, target_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop, spec = with_roles, DatabaseSpec(owner=with_roles.app)

        async def killed(*_: object) -> None:
            raise ConnectionAbortedError

        for go_on in (shop.apply, shop.delete):
            with monkeypatch.context() as patch:
                patch.setattr(Database, "_mark", killed)
                with pytest.raises(ConnectionAbortedError):
                    await shop.apply(DATABASE, shop.db, spec)
            assert await made(target_url, "amends\\_making\\_%") == 1
            assert await shop.read(DATABASE, shop.db, spec) is None
            await go_on(DATABASE, shop.db, spec)
            assert await made(target_url, "amends\\_making\\_%") == 0
            await shop.delete(DATABASE, shop.db, spec)
        assert await made(target_url, shop.db) == 0


async def made(url: str, pattern: str) -> int:
    """Databases whose names are like the pattern."""
    async with Server(url).session() as session:
        cursor = await session.execute(
            "SELECT count(*) FROM pg_database WHERE datname LIKE %s", [pattern]
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row["count"])


class TestSchema:
    async def test_it_is_created_read_altered_and_deleted(self, with_database: Shop) -> None:
        shop, spec = with_database, SchemaSpec(database=with_database.db, owner=with_database.app)
        assert await shop.read(SCHEMA, "stock", spec) is None
        for _ in range(2):
            assert (await shop.apply(SCHEMA, "stock", spec))["schema"] == "stock"
        assert await shop.read(SCHEMA, "stock", spec) == Observed(
            {"database": shop.db, "owner": shop.app}, shop.marker("stock"), {"tables": 0}
        )
        given_away = SchemaSpec(database=shop.db, owner=shop.other)
        await shop.apply(SCHEMA, "stock", given_away)
        assert (await shop.is_there(SCHEMA, "stock", spec)).spec["owner"] == shop.other
        for _ in range(2):
            await shop.delete(SCHEMA, "stock", spec)
            assert await shop.read(SCHEMA, "stock", spec) is None

    @pytest.mark.parametrize("content", ["TABLE stock.goods (id int)", "SEQUENCE stock.numbers"])
    async def test_that_holds_anything_is_dropped_only_when_that_is_allowed(
        self, with_database: Shop, content: str
    ) -> None:
        shop, spec = with_database, SchemaSpec(database=with_database.db, owner=with_database.app)
        await shop.apply(SCHEMA, "stock", spec)
        await shop.sql(f"CREATE {content}", shop.db)
        with refused("irreversible", "not empty"):
            await shop.delete(SCHEMA, "stock", spec)
        assert await shop.read(SCHEMA, "stock", spec) is not None
        await shop.delete(SCHEMA, "stock", spec, irreversible=True)
        assert await shop.read(SCHEMA, "stock", spec) is None

    async def test_without_its_database_it_is_absent_and_can_not_be_made(self, shop: Shop) -> None:
        spec = SchemaSpec(database=shop.db, owner=shop.app)
        assert await shop.read(SCHEMA, "stock", spec) is None
        await shop.delete(SCHEMA, "stock", spec)
        with refused("missing", "does not exist"):
            await shop.apply(SCHEMA, "stock", spec)


class TestWhatIsNotOurs:
    async def test_a_thing_without_our_marker_is_neither_altered_nor_deleted(
        self, shop: Shop
    ) -> None:
        await shop.sql("CREATE ROLE {app}")
        await shop.sql("GRANT {app} TO amends_provisioner WITH ADMIN TRUE, SET TRUE")
        observed = await shop.is_there(ROLE, shop.app, RoleSpec())
        assert observed.managed_by is None
        with pytest.raises(ProviderRefused, match="not managed"):
            await shop.apply(ROLE, shop.app, RoleSpec())
        with pytest.raises(ProviderRefused, match="not managed"):
            await shop.delete(ROLE, shop.app, RoleSpec(), irreversible=True)
        assert await shop.read(ROLE, shop.app, RoleSpec()) == observed

    async def test_a_thing_of_another_environment_is_neither_altered_nor_deleted(
        self, with_database: Shop
    ) -> None:
        shop, spec = with_database, DatabaseSpec(owner=with_database.app)
        before = await shop.read(DATABASE, shop.db, spec)
        theirs = Marker(f"resource/staging/{shop.db}", "change/shop-2")
        with pytest.raises(ProviderRefused, match=f"managed as resource/dev/{shop.db}"):
            await shop.provider.apply(DATABASE, shop.db, spec, theirs)
        with pytest.raises(ProviderRefused, match="managed as"):
            await shop.provider.delete(
                DATABASE, shop.db, spec, resource=theirs.resource, allow_irreversible=True
            )
        assert await shop.read(DATABASE, shop.db, spec) == before

    @pytest.mark.parametrize("name", ["amends_worker", "pg_monitor", 'x"; DROP ROLE postgres; --'])
    async def test_reserved_and_strange_names_are_refused_by_every_call(
        self, shop: Shop, name: str
    ) -> None:
        for call in (shop.apply, shop.read, shop.delete):
            with refused("invalid_name"):
                await call(ROLE, name, RoleSpec())

    async def test_a_spec_of_another_kind_is_refused(self, shop: Shop) -> None:
        for kind in (DATABASE, "postgres.index"):
            with refused("invalid_spec"):
                await shop.apply(kind, shop.db, RoleSpec())

    async def test_the_server_itself_keeps_the_provisioner_from_roles_it_did_not_make(
        self, shop: Shop, target_url: str
    ) -> None:
        await shop.sql("CREATE ROLE amends_test_victim")
        try:
            async with Server(target_url).session() as session:
                for attempt in (
                    "DROP ROLE amends_test_victim",
                    "ALTER ROLE amends_test_victim LOGIN",
                    "GRANT amends_test_victim TO amends_provisioner",
                ):
                    with pytest.raises(errors.InsufficientPrivilege):
                        await session.execute(attempt.encode())
        finally:
            await shop.sql("DROP ROLE amends_test_victim")


class TestOutOfReach:
    async def test_a_refused_connection_is_unavailable_and_tells_no_password(self) -> None:
        away = PostgresProvider("postgresql://nobody:s3cret@127.0.0.1:1/postgres")
        with pytest.raises(ProviderUnavailable) as outage:
            await away.read(ROLE, "shop-app", RoleSpec())
        assert "refused" in str(outage.value)
        assert "s3cret" not in str(outage.value)

    async def test_a_wrong_password_is_unavailable_and_says_why(self, target_url: str) -> None:
        locked_out = PostgresProvider(make_conninfo(target_url, password="wr0ng"))
        with pytest.raises(ProviderUnavailable, match="password authentication") as outage:
            await locked_out.read(ROLE, "shop-app", RoleSpec())
        assert "wr0ng" not in str(outage.value)

    async def test_an_option_that_the_server_refuses_is_named(self, target_url: str) -> None:
        strange = PostgresProvider(make_conninfo(target_url, options="-c no_such=1"))
        with pytest.raises(ProviderUnavailable, match="no_such"):
            await strange.read(ROLE, "shop-app", RoleSpec())

    def test_a_url_that_is_none_is_refused_without_showing_it(self) -> None:
        with pytest.raises(ValueError, match="not a PostgreSQL URL") as refusal:
            PostgresProvider("postgresql://nobody:s3cret@[::1/postgres")
        assert "s3cret" not in str(refusal.value)

    async def test_a_session_that_is_cut_off_is_unavailable(self, target_url: str) -> None:
        with pytest.raises(ProviderUnavailable):
            async with Server(target_url).session() as session:
                await session.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async def test_another_attempt_that_holds_the_thing_makes_us_wait_and_try_later(
        self, shop: Shop, target_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(SETTINGS, "lock_timeout", "100ms")
        async with Server(target_url).session() as other:
            await lock(other, f"{ROLE}/{shop.app}")
            with pytest.raises(ProviderUnavailable, match="lock timeout"):
                await shop.apply(ROLE, shop.app, RoleSpec())
        await shop.apply(ROLE, shop.app, RoleSpec())
        assert await shop.read(ROLE, shop.app, RoleSpec()) is not None
