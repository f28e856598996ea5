"""Who asks for changes, and what is really there: JSON in, JSON out, SQL past the provider."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, conninfo
from psycopg.rows import dict_row
from temporalio.client import Client, WorkflowHandle

from ledger.database import Database
from ledger.read.environments import resources
from tests.support.until import until

Json = dict[str, Any]
Handle = WorkflowHandle[Any, Any]


def role(name: str, **spec: Any) -> Json:
    return {"name": name, "kind": "postgres.role", "spec": spec}


def database(name: str, owner: str, **parts: Any) -> Json:
    return {"name": name, "kind": "postgres.database", "spec": {"owner": owner}, **parts}


def schema(name: str, database: str, owner: str) -> Json:
    spec = {"database": database, "owner": owner}
    return {"name": name, "kind": "postgres.schema", "spec": spec}


def after(resource: Json, *names: str) -> Json:
    """The same, depending on these."""
    return {**resource, "depends_on": [*names]}


@dataclass(frozen=True)
class ChangeDriver:
    """Starts changes and rollbacks by workflow name, with plain JSON."""

    client: Client
    queue: str

    async def change(self, operation_id: str, **parts: Any) -> Handle:
        """A change that runs."""
        request = {"operation_id": operation_id, "actor": "user:ana", **parts}
        return await self.start("InfrastructureSaga", f"change/{operation_id}", request)

    async def start(self, workflow: str, saga_id: str, request: Any) -> Handle:
        return await self.client.start_workflow(
            workflow, request, id=saga_id, task_queue=self.queue, result_type=dict
        )

    async def apply(self, operation_id: str, **parts: Any) -> Json:
        """The result of a change."""
        result: Json = await (await self.change(operation_id, **parts)).result()
        return result

    async def roll_back(self, operation_id: str, **parts: Any) -> Json:
        """The result of a rollback."""
        request = {"operation_id": operation_id, "actor": "user:ana", **parts}
        handle = await self.start("RollbackSaga", f"rollback/{operation_id}", request)
        result: Json = await handle.result()
        return result


@dataclass(frozen=True)
class Target:
    """The target server as its superuser sees it."""

    url: str = field(repr=False)

    async def execute(self, statement: str, database: str | None = None) -> list[Json]:
        url = conninfo.make_conninfo(self.url, **({"dbname": database} if database else {}))
        async with await AsyncConnection.connect(
            url, autocommit=True, row_factory=dict_row
        ) as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def hold(self, kind: str, name: str) -> AsyncIterator[None]:
        """Whoever changes this thing waits, inside the block."""
        url = conninfo.make_conninfo(self.url, dbname="postgres")
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(
                "SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"amends {kind}/{name}"]
            )
            yield

    async def someone_waits(self, kind: str, name: str) -> bool:
        """Whether somebody waits for what is held."""
        return bool(
            await self.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                " AND (classid::bigint << 32 | objid::bigint) ="
                f" hashtextextended('amends {kind}/{name}', 0)"
            )
        )

    async def names(self, prefix: str) -> set[str]:
        """The roles and databases whose names begin so."""
        rows = await self.execute(
            "SELECT rolname AS name FROM pg_roles UNION SELECT datname FROM pg_database"
        )
        return {row["name"] for row in rows if row["name"].startswith(prefix)}

    @asynccontextmanager
    async def stopped_at(
        self, ledger: Database, last: str, begin: Awaitable[Handle]
    ) -> AsyncIterator[Handle]:
        """A change of which the role `last` is under way, and gets no further inside the block."""
        async with self.hold("postgres.role", last):
            handle = await begin
            await until(lambda: told(ledger, f"resource/dev/{last}"))
            yield handle

    async def role(self, name: str) -> Json:
        """One role, with its comment."""
        [row] = await self.execute(
            "SELECT rolcanlogin AS login, shobj_description(oid, 'pg_authid') AS comment "
            f"FROM pg_roles WHERE rolname = '{name}'"
        )
        return row

    async def schemas(self, database: str, prefix: str) -> set[str]:
        rows = await self.execute("SELECT nspname AS name FROM pg_namespace", database)
        return {row["name"] for row in rows if row["name"].startswith(prefix)}

    async def add_table(self, database: str, name: str = "public.invoices") -> None:
        """Data that somebody would miss."""
        await self.execute(f"CREATE TABLE {name} (id int)", database)


async def told(ledger: Database, aggregate: str) -> list[str]:
    """The types of an aggregate's events, in order."""
    async with ledger.connection() as connection:
        cursor = await connection.execute(
            "SELECT event_type FROM ledger.event_log WHERE aggregate = %s ORDER BY version",
            [aggregate],
        )
        return [row["event_type"] for row in await cursor.fetchall()]


async def shapes(ledger: Database, prefix: str) -> dict[str, Json | None]:
    """The resources of a test as the ledger has them."""
    return {
        known.name: vars(known.shape) if known.shape else None
        for known in await resources(ledger, "dev")
        if known.name.startswith(prefix)
    }


async def size(ledger: Database) -> int:
    """How many events the ledger has."""
    async with ledger.connection() as connection:
        cursor = await connection.execute("SELECT count(*) AS events FROM ledger.event_log")
        [row] = await cursor.fetchall()
        return int(row["events"])
