"""The ledgers that are measured: databases of one server, cloned from one that was migrated."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import psycopg
from psycopg import AsyncConnection, sql

from benchmarks.pgbench import pgbench
from benchmarks.program import together
from benchmarks.scenarios import single
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.database import open_database
from ledger.migrations import upgrade as migrate
from worker.embedded import databases
from worker.embedded.servers import EmbeddedServers

_CLIENTS = 8
# As the worker makes them.
_MONTHS_AHEAD = 3


@dataclass(frozen=True)
class Ledger:
    """One of them, by role."""

    name: str
    worker: str
    auditor: str
    superuser: str

    async def execute(self, *statements: str) -> None:
        """As superuser, each statement on its own."""
        async with await AsyncConnection.connect(self.superuser, autocommit=True) as connection:
            for statement in statements:
                await connection.execute(statement.encode())


class Ledgers:
    """Makes them."""

    def __init__(self, servers: EmbeddedServers, name: str) -> None:
        self._servers, self._name, self._numbers = servers, name, count(1)
        self.made: list[Ledger] = []

    async def migrate(self) -> None:
        """Make the one that all others are clones of."""
        await self._clone("template0", self._name)
        owner_url = self._servers.ledger_url("amends_owner", self._name)
        await asyncio.to_thread(migrate.upgrade, owner_url)

    async def new(self, partitions: int) -> Ledger:
        """A ledger without an event whose log has so many partitions."""
        made = await self._named(self._name)
        await set_partitions(made, partitions)
        return made

    async def without_rules(self, ledger: Ledger) -> Ledger:
        """A copy, in which nothing is checked and the columns that rules fill have defaults."""
        made = await self._named(ledger.name)
        await made.execute(
            "ALTER TABLE ledger.event_log DISABLE TRIGGER USER",
            *(
                f"ALTER TABLE {aggregate_type.table.fullname} DISABLE TRIGGER USER, "
                "ALTER base SET DEFAULT 0, ALTER xid SET DEFAULT pg_current_xact_id()"
                for aggregate_type in AGGREGATE_TYPES.values()
            ),
        )
        return made

    async def _named(self, template: str) -> Ledger:
        name = f"{self._name}_{next(self._numbers)}"
        await self._clone(template, name)
        superuser = psycopg.conninfo.make_conninfo(self._servers.main.url(), dbname=name)
        worker, auditor = (
            self._servers.ledger_url(role, name) for role in ("amends_worker", "amends_auditor")
        )
        made = Ledger(name, worker, auditor, superuser)
        self.made.append(made)
        return made

    async def _clone(self, template: str, name: str) -> None:
        await databases.clone_database(self._servers.main.url(), template, name, "amends_owner")

    async def drop(self) -> None:
        for name in (self._name, *(ledger.name for ledger in self.made)):
            await drop_database(self._servers.main.url(), name)


async def drop_database(superuser_url: str, name: str) -> None:
    """Drop it, whoever is in it, if it is there."""
    async with await AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        await connection.execute(drop.format(sql.Identifier(name)))


@asynccontextmanager
async def migrated(servers: EmbeddedServers, name: str = "bench") -> AsyncIterator[Ledgers]:
    """What makes ledgers; at the end they are gone."""
    ledgers = Ledgers(servers, name)
    try:
        await ledgers.migrate()
        yield ledgers
    finally:
        await ledgers.drop()


async def set_partitions(ledger: Ledger, partitions: int) -> None:
    """Give the log so many months: this one, at most three ahead, and the others behind.

    A month behind that holds events stays.
    """
    ahead = min(_MONTHS_AHEAD, partitions - 1)
    now = datetime.now(UTC)
    month = now.year * 12 + now.month - 1
    first, end = month - (partitions - 1 - ahead), month + ahead + 1
    wanted = [(n // 12, n % 12 + 1) for n in range(first, end)]
    beyond = [(n // 12, n % 12 + 1) for n in range(end, month + _MONTHS_AHEAD + 1)]
    await ledger.execute(
        *(f"SELECT ledger.create_partition('{year}-{n}-1')" for year, n in wanted),
        *(f"DROP TABLE IF EXISTS ledger.event_log_{year}_{n:02}" for year, n in beyond),
    )


async def prefill_by_pgbench(ledger: Ledger, existing: int) -> None:
    """The aggregates that the scripts load."""
    script = single(existing).script(f":i + :client_id * {existing // _CLIENTS}")
    counted = script.after("\\set i :i + 1", i="-1")
    await pgbench(ledger.worker, counted, _CLIENTS, existing)


async def prefill(ledger: Ledger, existing: int) -> None:
    """The aggregates that ledger.commit loads."""
    scenario = single(existing)
    async with open_database(ledger.worker, size=_CLIENTS) as database:
        await together(lambda number: scenario.commit(database, number), range(existing), _CLIENTS)
