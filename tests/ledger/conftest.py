"""A migrated ledger for every test: cloned from one template, verified after each writer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from ledger.audit.verify import Verified, verify
from ledger.database import Database, open_database
from ledger.migrations import upgrade as migrate
from tests.conftest import CloneDatabase
from tests.ledger import writing
from worker.embedded.servers import EmbeddedServers

TEMPLATE = "ledger_template"
_OF_THE_LEDGER = "relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p')"
# A table is said to have no CHECK, and then to have its own again.
RULES_OFF = (
    "SET LOCAL session_replication_role = replica",
    f"UPDATE pg_class SET relchecks = 0 WHERE {_OF_THE_LEDGER}",
)
BOUNDS_ON = f"""UPDATE pg_class SET relchecks = (SELECT count(*) FROM pg_constraint
    WHERE conrelid = pg_class.oid AND contype = 'c') WHERE {_OF_THE_LEDGER}"""
# The id of an event of this aggregate_id and version, as SQL.
LEFT_OUT = ("saga_end", "money", "mandate", "claim", "signature", "case")
EVENT_ID = """overlay(overlay(({0})::text placing '8' from 15 for 1)
    placing lpad(to_hex({1}), 8, '0') from 29 for 8)::uuid"""
WrittenTemplate = Callable[[Callable[[Database], Awaitable[None]]], Awaitable[str]]


@pytest.fixture(scope="session")
async def ledger_template(servers: EmbeddedServers) -> str:
    """The name of a migrated, empty ledger to clone."""
    await create_database(servers, TEMPLATE)
    await asyncio.to_thread(migrate.upgrade, servers.ledger_url("amends_owner", TEMPLATE))
    return TEMPLATE


async def create_database(servers: EmbeddedServers, name: str) -> None:
    """An empty database of the ledger's owner."""
    async with await AsyncConnection.connect(servers.main.url(), autocommit=True) as connection:
        await connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER amends_owner").format(sql.Identifier(name))
        )


@dataclass(frozen=True)
class Clone:
    """The URLs of one ledger, by role."""

    worker: str
    owner: str
    auditor: str
    superuser: str

    async def execute(self, url: str, *statements: str) -> None:
        """All statements in one transaction; each under its own snapshot, as an attacker would."""
        async with await AsyncConnection.connect(url) as connection:
            for statement in statements:
                await connection.execute(statement.encode())
            # Here and not on leaving: the driver leaves a connection open whose commit is refused.
            await connection.commit()

    async def damage(self, *statements: str) -> None:
        """Past all rules, CHECKs too, as only a superuser can."""
        await self.execute(self.superuser, *RULES_OFF, *statements, BOUNDS_ON)

    async def fetch(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """What the auditor sees."""
        async with await AsyncConnection.connect(self.auditor) as connection:
            cursor = await connection.execute(statement.encode(), values)
            return await cursor.fetchall()

    async def until_waiting(self, sessions: int = 1) -> None:
        """Until so many sessions wait for a lock of another."""
        await self.execute(
            self.superuser,
            "SET LOCAL statement_timeout = '10s'",
            "DO $$ BEGIN WHILE (SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted) < "
            f"{sessions} LOOP PERFORM pg_sleep(0.01); END LOOP; END $$",
        )

    async def verify(self) -> Verified:
        """As the auditor, who only reads."""
        async with open_database(self.auditor, size=1) as database:
            return await verify(database)


def urls_of(servers: EmbeddedServers, name: str) -> Clone:
    worker, owner, auditor = (
        servers.ledger_url(f"amends_{role}", name) for role in ("worker", "owner", "auditor")
    )
    superuser = psycopg.conninfo.make_conninfo(servers.main.url(), dbname=name)
    return Clone(worker, owner, auditor, superuser)


@asynccontextmanager
async def dropped_afterwards(servers: EmbeddedServers, name: str) -> AsyncIterator[Clone]:
    yield urls_of(servers, name)
    async with await AsyncConnection.connect(servers.main.url(), autocommit=True) as connection:
        await connection.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        )


@pytest.fixture
def template(ledger_template: str) -> str:
    """What is cloned for a test: an empty ledger, where a module has no other fixture."""
    return ledger_template


@pytest.fixture
async def clone(
    servers: EmbeddedServers, template: str, clone_database: CloneDatabase
) -> AsyncIterator[Clone]:
    """A ledger that only this test sees."""
    async with dropped_afterwards(servers, await clone_database(template)) as made:
        yield made


@pytest.fixture
async def database(clone: Clone) -> AsyncIterator[Database]:
    """The worker's connections to a ledger that may get damaged."""
    async with open_database(clone.worker, size=24) as opened:
        yield opened


@pytest.fixture
async def ledger(clone: Clone, database: Database) -> AsyncIterator[Database]:
    """The worker's connections; whatever the test wrote, `verify` finds nothing.

    But for what it left out of the story of a saga: its steps, its authorization, its transfer, the
    signature, the case.
    """
    yield database
    found = (await clone.verify()).findings
    assert [each for each in found if each.kind not in LEFT_OUT] == []


@pytest.fixture(scope="session")
async def written_template(
    servers: EmbeddedServers, ledger_template: str, clone_database: CloneDatabase
) -> WrittenTemplate:
    """`await written_template(write)` gives the name of a ledger in which this was written."""

    async def make(write: Callable[[Database], Awaitable[None]]) -> str:
        name = await clone_database(ledger_template)
        async with open_database(servers.ledger_url("amends_worker", name), size=1) as database:
            await write(database)
        return name

    return make


@pytest.fixture(scope="session")
async def filled_template(written_template: WrittenTemplate) -> str:
    """A ledger with rows in every table, some of several events in one commit, to clone."""
    return await written_template(writing.fill)


@pytest.fixture(scope="session")
async def intact_template(servers: EmbeddedServers, written_template: WrittenTemplate) -> str:
    """A ledger with a bit of everything, in which `verify` finds nothing, to clone."""
    name = await written_template(_a_bit_of_everything)
    verified = await urls_of(servers, name).verify()
    assert (verified.events, verified.aggregates) == (13, 7)
    assert verified.findings == []
    return name


async def _a_bit_of_everything(database: Database) -> None:
    for _ in range(2):
        await writing.register(database)
        await writing.revoke(database)
    await writing.set_policy(database)
    await writing.register(database, "other-bot")
    await writing.open_payment(database)
    await writing.take_step(database)
    await writing.begin_step(database, writing.claim("send", ordinal=2))
    await writing.reserve(database, "a-1", 30_000, "payment/rent")
    await writing.register(database, "other-bot")
    await writing.revoke(database, "other-bot")
