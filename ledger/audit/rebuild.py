"""Rebuilds a state table or the spend windows from the log alone, which is only read.

The projected rows are gathered in a temporary table while writers write. Then one transaction keeps
the writers of this table out, catches up with what they wrote meanwhile, and exchanges the rows
that differ. Readers never wait: they see the old rows until it commits, and the right ones after.
What is killed in the middle leaves nothing behind.

A decision that loaded a damaged row before the exchange may still carry the damage into its own
commit after it: run `amends verify` when the rebuild is done.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import DataError, IntegrityError, errors, sql

from ledger.aggregates.columns import Columns
from ledger.audit.projection import Source, sources
from ledger.database import Connection, Database, open_database
from ledger.errors import LogDamaged, NotFound, NotOwner, Pooled, TableBusy
from ledger.holders import Watch
from ledger.read.cursors import STRETCH

# One rebuild at a time on a database, and no migration that changes tables meanwhile. Readers have
# no lock that is in the way of this one.
_ONE_AT_A_TIME = "LOCK TABLE ledger.alembic_version IN EXCLUSIVE MODE"
# While we wait for the lock writers wait behind us: for 2 s at most, then they have their turn.
_LOCK_TIMEOUT, _LOCK_TRIES, _LOCK_PAUSE_S = "2s", 10, 1.0
# Who is in the way is known to the server as long as we wait.
_LOOK_AFTER_S = 1.0

_TOLD = sql.Identifier("pg_temp", "told")


@dataclass(frozen=True)
class Rebuilt:
    """The report of a rebuild. `rows` are in the table now, projected from `events` events.

    Of them `wrong` were different before and `missing` were absent; `strays` were in the table
    without an event.
    """

    table: str
    events: int
    rows: int
    wrong: int
    missing: int
    strays: int
    seconds: float


async def rebuild(owner_url: str, table: str) -> Rebuilt:
    """Rebuilds a table from the log. Safe to repeat; writers may go on.

    `owner_url` is a `postgresql://` address under the owner role. Raises NotFound for a table that
    is none of those that can be rebuilt; UnknownEvent for an event of a newer version and
    LogDamaged for one that can't be replayed: the table is then as it was; NotOwner, TableBusy,
    Pooled, DatabaseUnavailable.
    """
    source = check_table(table)
    began = time.monotonic()
    async with (
        open_database(owner_url, size=3) as database,
        database.connection() as guard,
        database.connection() as writer,
        database.connection() as reader,
    ):
        try:
            await _check(guard, source.table)
            async with _alone(database, guard):
                rows, wrong, missing, strays = await _rebuild(database, writer, reader, source)
        except (DataError, IntegrityError) as error:
            # Of the values of the row only the second one, its name.
            failing = re.match(
                r"Failing row contains \([0-9a-f-]{36}, (.*?), ", error.diag.message_detail or ""
            )
            whose = f"the events of {failing[1]}" if failing else "the events"
            raise LogDamaged(
                f"{whose} fold into a row that ledger.{table} can't hold "
                f"(SQLSTATE {error.sqlstate}): run amends verify"
            ) from None
    return Rebuilt(
        table=table,
        events=source.events,
        rows=rows,
        wrong=wrong,
        missing=missing,
        strays=strays,
        seconds=round(time.monotonic() - began, 3),
    )


def check_table(table: str) -> Source:
    """The projection of a table. Raises NotFound, with the tables there are."""
    found = sources()
    if table not in found:
        raise NotFound(f"no table named {table!r} to rebuild: there are {', '.join(sorted(found))}")
    return found[table]


async def _rebuild(
    database: Database, writer: Connection, reader: Connection, source: Source
) -> tuple[int, int, int, int]:
    await _begin(writer, reader, source.table)
    snapshot = await _gather(writer, reader, source, None)
    # The first pass may have taken long: what it missed is fetched before writers have to wait.
    snapshot = await _gather(writer, reader, source, snapshot)
    await writer.execute(sql.SQL("ANALYZE {}").format(_TOLD))
    await _begin_alone(database, writer, source.table)
    await _gather(writer, reader, source, snapshot)
    async with _without_rules(writer, source.table):
        counts = await _exchange(writer, source.table)
    await writer.execute("COMMIT")
    return counts


async def _check(connection: Connection, table: Columns) -> None:
    """Raises Pooled and NotOwner."""
    asked = (
        "SELECT pg_has_role(relowner, 'USAGE') AS owned, pg_backend_pid() AS pid "
        "FROM pg_class WHERE oid = %s::regclass"
    )
    cursor = await connection.execute(asked, (f"ledger.{table.name}",))
    [found] = await cursor.fetchall()
    # A pooler gives its clients numbers of its own.
    if found["pid"] != connection.info.backend_pid:
        raise Pooled(
            "a rebuild needs a session to itself, and this address is a pooler's: let "
            "AMENDS_MIGRATION_URL name PostgreSQL itself"
        )
    if not found["owned"]:
        raise NotOwner(
            f"only the role that owns ledger.{table.name} may rebuild it: connect as that role"
        )


@asynccontextmanager
async def _alone(database: Database, guard: Connection) -> AsyncIterator[None]:
    """Keeps other rebuilds away, in a transaction that does nothing else. Raises TableBusy."""
    await _name_session(guard)
    async with guard.transaction():
        with Watch(database, guard, _LOOK_AFTER_S) as watch:
            try:
                await guard.execute(_ONE_AT_A_TIME)
            except errors.LockNotAvailable:
                raise TableBusy(
                    f"another rebuild or a migration runs on this ledger{await watch.by_whom()}: "
                    "wait until it has ended"
                ) from None
        yield


async def _name_session(connection: Connection) -> None:
    await connection.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    # Who waits for the exchange to end is told this name.
    await connection.execute("SET application_name = 'amends rebuild'")


async def _begin(writer: Connection, reader: Connection, table: Columns) -> None:
    """Makes a temporary table for the projected rows; it ends with the connection."""
    for connection in (writer, reader):
        await _name_session(connection)
    statement = sql.SQL("CREATE TEMPORARY TABLE told (LIKE {}, PRIMARY KEY ({}))")
    await writer.execute(statement.format(_name(table), _names(_key(table))))


async def _gather(writer: Connection, reader: Connection, source: Source, since: str | None) -> str:
    """Stores the projected rows in the temporary table, or those that changed since a snapshot.

    Returns the snapshot that was read. The reader writes nothing: a long transaction with an id of
    its own would hold up all who follow the log.
    """
    async with reader.transaction():
        await reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor = await reader.execute("SELECT pg_current_snapshot()::text AS snapshot")
        [row] = await cursor.fetchall()
        stretch: list[list[Any]] = []
        async with aclosing(source.rows(reader, since)) as found:
            async for values in found:
                stretch.append(values)
                if len(stretch) == STRETCH:
                    await _put(writer, source, stretch, since)
                    stretch.clear()
        await _put(writer, source, stretch, since)
    return str(row["snapshot"])


async def _put(
    writer: Connection, source: Source, rows: Sequence[Sequence[Any]], since: str | None
) -> None:
    columns = [column.name for column in source.table.columns]
    if since is None and not source.adds:
        copy = sql.SQL("COPY {} ({}) FROM STDIN").format(_TOLD, _names(columns))
        async with writer.cursor() as cursor, cursor.copy(copy) as copying:
            for row in rows:
                await copying.write_row(row)
        return
    key = _key(source.table)
    value = "told.{0} + excluded.{0}" if source.adds else "excluded.{0}"
    changed = [
        sql.SQL("{0} = " + value).format(sql.Identifier(name))
        for name in columns
        if name not in key
    ]
    statement = sql.SQL(
        "INSERT INTO {} AS told ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}"
    ).format(
        _TOLD,
        _names(columns),
        sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        _names(key),
        sql.SQL(", ").join(changed),
    )
    async with writer.cursor() as cursor:
        await cursor.executemany(statement, rows)


async def _begin_alone(database: Database, writer: Connection, table: Columns) -> None:
    """Begins a transaction in which nobody else writes the table or locks its rows; all may
    read. Raises TableBusy."""
    lock = sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(_name(table))
    for tries_left in reversed(range(_LOCK_TRIES)):
        with Watch(database, writer, _LOOK_AFTER_S) as watch:
            try:
                await writer.execute("BEGIN")
                await writer.execute(lock)
                return
            except errors.LockNotAvailable:
                await writer.execute("ROLLBACK")
                if not tries_left:
                    by = await watch.by_whom()
                    raise TableBusy(
                        f"ledger.{table.name} stayed locked{by} for {_LOCK_TRIES} x "
                        f"{_LOCK_TIMEOUT}: end that transaction, or try again later"
                    ) from None
        await asyncio.sleep(_LOCK_PAUSE_S)


@asynccontextmanager
async def _without_rules(writer: Connection, table: Columns) -> AsyncIterator[None]:
    """Disables the triggers of the table, for this transaction only, and then restores them."""
    cursor = await writer.execute(
        "SELECT tgname, tgenabled::text FROM pg_trigger "
        "WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled <> 'D'",
        (f"ledger.{table.name}",),
    )
    rules = await cursor.fetchall()
    for rule in rules:
        await _switch(writer, table, "DISABLE", rule["tgname"])
    yield
    for rule in rules:
        how = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}[rule["tgenabled"]]
        await _switch(writer, table, how, rule["tgname"])


async def _switch(writer: Connection, table: Columns, how: str, rule: str) -> None:
    statement = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
    await writer.execute(statement.format(_name(table), sql.SQL(how), sql.Identifier(rule)))


# Deleted and inserted, not updated: rows may have exchanged what must be unique.
_EXCHANGE = (
    "DELETE FROM {table} AS held WHERE NOT EXISTS (SELECT FROM {source} AS told WHERE {key})",
    "DELETE FROM {table} AS held USING {source} AS told WHERE {key} AND "
    "ROW({held}) IS DISTINCT FROM ROW({projected})",
    "INSERT INTO {table} ({columns}) SELECT {told} FROM {source} AS told "
    "WHERE NOT EXISTS (SELECT FROM {table} AS held WHERE {key})",
)


async def _exchange(writer: Connection, table: Columns) -> tuple[int, int, int, int]:
    """Replaces the rows that differ. Returns how many rows the table has now, and how many were
    wrong, missing, or strays."""
    columns = [column.name for column in table.columns]
    same = [sql.SQL("held.{0} = told.{0}").format(sql.Identifier(name)) for name in _key(table)]
    parts = {
        "table": _name(table),
        "source": _TOLD,
        "columns": _names(columns),
        "held": _as_written(table, "held"),
        "projected": _as_written(table, "told"),
        "told": _names(columns, "told"),
        "key": sql.SQL(" AND ").join(same),
    }
    # What the planner knows of the table may be from before it was damaged: a nested loop over rows
    # that it takes for none would not end.
    await writer.execute("SET LOCAL enable_nestloop = off")
    counts = [
        (await writer.execute(sql.SQL(statement).format(**parts))).rowcount
        for statement in _EXCHANGE
    ]
    strays, wrong, inserted = counts
    cursor = await writer.execute(sql.SQL("SELECT count(*) FROM {}").format(_TOLD))
    [row] = await cursor.fetchall()
    return row["count"], wrong, inserted - wrong, strays


def _as_written(table: Columns, of: str) -> sql.Composed:
    """The columns of a row, JSON as its text: to PostgreSQL 2 and 2.0 are one number, and to a
    reader two."""
    return sql.SQL(", ").join(
        sql.SQL("{}::text" if column.is_json else "{}").format(sql.Identifier(of, column.name))
        for column in table.columns
    )


def _key(table: Columns) -> list[str]:
    """The columns that identify a row: the aggregate's id, or the key of the spend windows."""
    if "aggregate_id" in table.names:
        return ["aggregate_id"]
    return [column.name for column in table.columns if column.primary_key]


def _name(table: Columns) -> sql.Identifier:
    return sql.Identifier("ledger", table.name)


def _names(names: Sequence[str], of: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.Identifier(of, name) if of else sql.Identifier(name) for name in names
    )
