"""Sets columns and fields of the ledger to random legal values, past all rules, and reads it.

`python -m tests.ledger.fuzz_values --rows 10000 [--seed N]` prints what was wrong and how long it
took; exit status 1 when a reader ended in anything but an answer or an error of its own, or
`verify` reported other rows than those that were touched.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, errors, sql
from temporalio.client import Client

from activities.runs import namespace_id
from ledger.aggregates.names import aggregate_id
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.spend_window import SPEND_WINDOWS
from ledger.migrations import upgrade as migrate
from ledger.nesting import MAX_DEPTH
from ledger.store.event_log import EVENT_LOG
from tests.ledger.conftest import BOUNDS_ON, RULES_OFF, Clone, create_database, urls_of
from tests.ledger.fuzz_ledger import fill
from tests.ledger.fuzz_readers import read_all
from worker.embedded.servers import EmbeddedServers

# What `verify` can't judge, or where some other value is as good: docs/verify.md.
EITHER = {"event_log": {"position", "xid"}, None: {"base"}}
# A time outside of these can be shown in no zone, or in some only.
BEYOND = ("infinity", "-infinity", "294276-12-31", "4700-01-01 BC", "10000-01-01", "0001-01-01")
MOMENTS = (*BEYOND, "1970-01-01", "2026-11-22 09:00:00.123456", "2199-12-31", "0999-05-05")
WORDS = (
    "",
    "running",
    "completed",
    "approved",
    "saga/payment/p-1",
    "payment/p-1",
    "x/y/z",
    "é\u0301",
)


@dataclass
class Touch:
    """One value that was changed: of the row of `aggregate`, in this table and column.

    `names` are other names under which it may be reported, `unreadable`: no reader can read it.
    """

    table: str
    aggregate: str
    column: str
    position: int | None = None
    unreadable: bool = False
    certain: bool = True
    names: set[str] = field(default_factory=set)


class Values:
    """Random values that a column of a type may hold."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def of(self, type_name: str) -> tuple[str, bool]:
        """A value in the text of the database, and whether no reader can read it."""
        chance = self._chance
        match type_name:
            case "timestamptz":
                text = chance.choice(MOMENTS)
                return (
                    f"{text}+00" if "i" not in text and " BC" not in text else text,
                    text in BEYOND,
                )
            case "date":
                text = chance.choice([each for each in MOMENTS if ":" not in each])
                return text, text in BEYOND
            case "integer" | "bigint":
                bits = 31 if type_name == "integer" else 63
                edges = [
                    0,
                    1,
                    2,
                    -1,
                    2**bits - 1,
                    -(2**bits),
                    chance.randrange(-(2**bits), 2**bits),
                ]
                return str(chance.choice(edges)), False
            case "xid8":
                return str(chance.choice([3, 2**63, 2**64 - 1, chance.randrange(3, 2**40)])), False
            case "uuid":
                return f"{chance.getrandbits(128):032x}", False
            case "bytea":
                return "\\x" + chance.randbytes(chance.choice([0, 1, 31, 32, 64])).hex(), False
            case "jsonb":
                return self.json()
            case _:
                return self.text(), False

    def text(self) -> str:
        """Words of the ledger, and letters of any script, controls and all."""
        if self._chance.random() < 0.4:
            return self._chance.choice(WORDS)
        letters = [
            chr(self._chance.choice([7, 10, 27, 65, 233, 0x202E, 0x1F600])) for _ in range(9)
        ]
        return "".join(letters) * self._chance.choice([1, 1, 30])

    def json(self) -> tuple[str, bool]:
        """JSON of any kind, and whether it is beyond Python."""
        chance = self._chance
        deep = chance.choice([MAX_DEPTH + 1, 900, 3000])
        if chance.random() < 0.25:
            return chance.choice(["9" * 5000, "[" * deep + "]" * deep]), True
        plain: list[Any] = [None, True, 0, -1.5, 2**70, "x", [], [1], {}, {"": {"x": [None]}}]
        return json.dumps(chance.choice([*plain, self.text()])), False


async def touch(clone: Clone, rows: int, seed: int) -> list[Touch]:
    """Touches one value of each of `rows` rows, as a superuser and past all rules."""
    chance = random.Random(seed)
    async with await AsyncConnection.connect(clone.superuser) as connection:
        for statement in RULES_OFF:
            await connection.execute(statement.encode())
        # Any time has a partition.
        await connection.execute(
            "CREATE TABLE ledger.event_log_any PARTITION OF ledger.event_log DEFAULT"
        )
        await connection.execute(
            "ALTER TABLE ledger.event_log ALTER position SET GENERATED BY DEFAULT"
        )
        aggregates = await _aggregates(connection)
        chosen = chance.sample(aggregates, min(rows, len(aggregates)))
        toucher = _Toucher(connection, chance)
        touched = [found for each in chosen if (found := await toucher.touch(*each)) is not None]
        await connection.execute("ALTER TABLE ledger.event_log ALTER position SET GENERATED ALWAYS")
        await connection.execute(BOUNDS_ON.encode())
        await connection.commit()
    return touched


async def _aggregates(connection: AsyncConnection[Any]) -> list[tuple[str, str, Any]]:
    """Table, name and key of each row."""
    found: list[tuple[str, str, Any]] = []
    for kind in AGGREGATE_TYPES.values():
        query = f"SELECT aggregate, aggregate_id FROM ledger.{kind.columns.name} ORDER BY 1"
        rows = await (await connection.execute(query.encode())).fetchall()
        found += [(kind.columns.name, *row) for row in rows]
    query = "SELECT agent_id FROM ledger.spend_windows ORDER BY agent_id"
    rows = await (await connection.execute(query.encode())).fetchall()
    return found + [("spend_windows", name, name) for (name,) in rows]


_LABELS = ", ".join(
    f"concat_ws('/', 'spend window ' || {it}.agent_id, {it}.currency, {it}.period, {it}.starts_on)"
    for it in ("old", "new")
)


class _Toucher:
    def __init__(self, connection: AsyncConnection[Any], chance: random.Random) -> None:
        self._connection, self._chance, self._values = connection, chance, Values(chance)

    async def touch(self, table: str, name: str, key: Any) -> Touch | None:
        """Changes a column or a field of the row, or of one of its events; None if it is as
        before."""
        if table == "spend_windows":
            found = Touch(table, name, "")
            return await self._change(found, SPEND_WINDOWS, "agent_id = %s", [key])
        if self._chance.random() < 0.5:
            columns = AGGREGATE_TYPES[name.split("/", 1)[0]].columns
            return await self._change(Touch(table, name, ""), columns, "aggregate_id = %s", [key])
        query = b"SELECT version, position FROM ledger.event_log WHERE aggregate_id = %s"
        rows = await (await self._connection.execute(query, [key])).fetchall()
        version, position = self._chance.choice(sorted(rows))
        found = Touch("event_log", name, "", position)
        where = "aggregate_id = %s AND version = %s"
        return await self._change(found, EVENT_LOG, where, [key, version])

    async def _change(
        self, found: Touch, columns: Any, where: str, values: list[Any]
    ) -> Touch | None:
        column = self._chance.choice(columns.columns)
        found.column = column.name
        either = EITHER.get(found.table, EITHER[None])
        found.certain = column.name not in either
        name = sql.Identifier(column.name)
        value = sql.SQL("%s::text::{}").format(sql.SQL(column.type))
        text: str | None
        if column.nullable and self._chance.random() < 0.2:
            text = None
        else:
            text, found.unreadable = self._values.of(column.type)
        if column.is_json and text is not None and self._chance.random() < 0.6:
            path = await self._path(found.table, column.name, where, values)
            if path:
                value = sql.SQL("jsonb_set({}, {}, %s::text::jsonb)").format(name, path)
        statement = sql.SQL(
            "UPDATE ledger.{table} SET {name} = {value} WHERE {where} "
            "RETURNING old.{name} IS DISTINCT FROM new.{name}, new.{name}::text, {labels}"
        ).format(
            table=sql.Identifier(found.table),
            name=name,
            value=value,
            where=sql.SQL(where),
            labels=sql.SQL(_LABELS if found.table == "spend_windows" else "'', ''"),
        )
        try:
            async with self._connection.transaction():
                cursor = await self._connection.execute(statement, [text, *values])
                [(changed, new, *labels)] = await cursor.fetchall()
        except errors.UniqueViolation:
            # Keys are no bounds: they hold whatever is off.
            return None
        found.names = {str(new), f"saga/{new}", *labels}
        if found.aggregate:
            # By which a row is named that has no name any more.
            found.names.add(str(aggregate_id(found.aggregate)))
        # To a model the null of JSON is that of SQL.
        found.certain &= new != "null"
        return found if changed else None

    async def _path(
        self, table: str, column: str, where: str, values: list[Any]
    ) -> sql.Literal | None:
        """A field of the JSON that stands there, at any depth."""
        query = f"SELECT {column} FROM ledger.{table} WHERE {where}"
        [(value,)] = await (await self._connection.execute(query.encode(), values)).fetchall()
        path: list[str] = []
        while isinstance(value, (Mapping, list)) and value:
            keys = sorted(value) if isinstance(value, Mapping) else range(len(value))
            key = self._chance.choice(keys)
            path.append(str(key))
            value = value[key]
            if self._chance.random() < 0.3:
                break
        return sql.Literal(path) if path else None


async def fuzz(clone: Clone, rows: int, seed: int, temporal: Client) -> list[str]:
    """Fills the ledger, touches so many rows and reads; returns what was wrong, in sentences."""
    # Some rows stay as they were: nobody may report them.
    began = time.monotonic()
    await fill(clone.worker, rows // 6 + 4, await namespace_id(temporal))
    assert (await clone.verify()).findings == []
    filled = time.monotonic()
    touched = await touch(clone, rows, seed)
    wrong = await read_all(clone, touched, temporal)
    beyond = sum(each.unreadable for each in touched)
    print(
        f"{len(touched)} rows touched, {beyond} of them unreadable;"
        f" filled in {filled - began:.0f} s, read in {time.monotonic() - filled:.0f} s;"
        f" {len(wrong)} wrong"
    )
    return wrong


async def _main(rows: int, seed: int) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="amends-fuzz-") as folder:
        async with EmbeddedServers(Path(folder) / "servers", durable=False) as servers:
            await create_database(servers, "fuzz")
            url = servers.ledger_url("amends_owner", "fuzz")
            await asyncio.to_thread(migrate.upgrade, url)
            temporal = await Client.connect(servers.temporal.address)
            return await fuzz(urls_of(servers, "fuzz"), rows, seed, temporal)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    wrong = asyncio.run(_main(asked.rows, asked.seed))
    print("\n".join(wrong[:50]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
