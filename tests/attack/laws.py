"""What must be true when all is over, read by SQL and nothing else: no code of the product is used
here, nor of other tests that read for it.

Each law is a sentence, and a query that names whatever breaks it. Beside the tables of the ledger
the queries see what the clients asked for and were told, and what the bank and the target hold.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection

from tests.attack.business import BUSINESS
from tests.attack.contents import CONTENTS
from tests.attack.record import RECORD
from tests.support.hash_link import COLUMNS, link, sha256

Row = dict[str, Any]
HASHES = "the hash of each event is that of its content and of the event before it"
# Answered by code: no SQL writes the canonical form.
QUERIES: Mapping[str, str] = {**RECORD, **CONTENTS, **BUSINESS}
LAWS = (HASHES, *QUERIES)
TABLES = """
    CREATE TEMP TABLE run AS
        SELECT '{began}'::timestamptz AS began, clock_timestamp() AS ended;
    CREATE TEMP TABLE asked (saga_id text PRIMARY KEY, kind text, request jsonb, result jsonb,
        failure text);
    CREATE TEMP TABLE decided (saga_id text, verb text, actor text, answer text);
    CREATE TEMP TABLE bank (key text PRIMARY KEY, status text, reference text, amount_minor bigint,
        currency text, destination text, description text, created_at timestamptz)
       ;
    CREATE TEMP TABLE roles (name text PRIMARY KEY, login boolean, connection_limit integer,
        powers jsonb)"""
BANK = """
    SELECT key, status, reference, amount_minor, currency, destination, description, created_at
    FROM mock_bank.transfers"""
ROLES = """
    SELECT rolname AS name, rolcanlogin AS login, rolconnlimit AS connection_limit,
        jsonb_strip_nulls(jsonb_build_object('super', nullif(rolsuper, false),
            'createdb', nullif(rolcreatedb, false), 'createrole', nullif(rolcreaterole, false),
            'replication', nullif(rolreplication, false), 'bypassrls', nullif(rolbypassrls, false),
            'until', rolvaliduntil, 'settings', rolconfig, 'member of', (
                SELECT jsonb_agg(roleid::regrole) FROM pg_auth_members WHERE member = r.oid)
        ))::text AS powers
    FROM pg_roles AS r WHERE rolname LIKE 'attacked-%'"""


@dataclass(frozen=True)
class Scene:
    """All that is looked at: the ledger, the bank, the target, and what the clients know: requests
    and results by saga, the failures by saga, and the decisions as (saga, verb, actor, answer)."""

    ledger: AsyncConnection[Row]
    bank: AsyncConnection[Row]
    target: AsyncConnection[Row]
    began: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    requests: Mapping[str, Row] = field(default_factory=dict)
    results: Mapping[str, Row] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    decisions: Sequence[tuple[str, str, str, str]] = ()

    def connections(self) -> tuple[AsyncConnection[Row], ...]:
        return self.ledger, self.bank, self.target


async def broken(scene: Scene) -> dict[str, list[str]]:
    """What breaks each of the laws, by its sentence; of those that hold nothing."""
    await lay_out(scene)
    found = {law: await seen(scene, law) for law in LAWS}
    return {law: names for law, names in found.items() if names}


async def seen(scene: Scene, law: str) -> list[str]:
    """What breaks this law, where all has been laid out."""
    if law == HASHES:
        return [name async for name in _hashes(scene.ledger)]
    rows = await ask(scene.ledger, QUERIES[law])
    return [" ".join(str(value) for value in row.values()) for row in rows]


async def lay_out(scene: Scene) -> None:
    """Make what is known outside the ledger tables of the session in which the laws are asked."""
    for statement in TABLES.format(began=scene.began.isoformat()).split(";"):
        await scene.ledger.execute(statement.encode())
    asked = []
    for saga_id, request in scene.requests.items():
        told = _json(request, scene.results.get(saga_id))
        asked.append((saga_id, saga_id.partition("/")[0], *told, scene.failures.get(saga_id)))
    await _copy(scene.ledger, "asked", asked)
    await _copy(scene.ledger, "decided", scene.decisions)
    await look_outside(scene)
    await scene.ledger.commit()


async def look_outside(scene: Scene) -> None:
    """What the bank and the target hold now, in place of what they held."""
    for table, found in (
        ("bank", await ask(scene.bank, BANK)),
        ("roles", await ask(scene.target, ROLES)),
    ):
        await scene.ledger.execute(f"TRUNCATE {table}".encode())
        await _copy(scene.ledger, table, [tuple(row.values()) for row in found])


async def _copy(ledger: AsyncConnection[Row], table: str, rows: Iterable[Sequence[Any]]) -> None:
    copying = f"COPY pg_temp.{table} FROM STDIN".encode()
    async with ledger.cursor() as cursor, cursor.copy(copying) as copy:
        for row in rows:
            await copy.write_row(row)


def _json(*values: Row | None) -> list[str | None]:
    return [None if value is None else json.dumps(value) for value in values]


async def ask(connection: AsyncConnection[Row], query: str) -> list[Row]:
    return await (await connection.execute(query.encode())).fetchall()


async def _hashes(ledger: AsyncConnection[Row]) -> AsyncIterator[str]:
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    query = f"SELECT {columns}, hash FROM ledger.event_log ORDER BY aggregate_id, version"
    heads: dict[Any, bytes] = {}
    for row in await ask(ledger, query):
        stored = row.pop("hash")
        before = heads.get(row["aggregate_id"], bytes(32)).hex()
        if stored != sha256(link(before, row)):
            yield f"{row['aggregate']} {row['version']}"
        heads[row["aggregate_id"]] = stored
