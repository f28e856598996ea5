"""The one write path: appends events and writes their state rows in one statement, or neither.

One statement loads what the decision needs, `decide` runs (pure, given the states and the
database's time), and one statement writes: rows, events and spend, each row on the condition that
it is still as it was loaded. No lock and no transaction is held between the two. Who loses a race
tries again with locks, in one transaction of two round trips.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar, cast

import psycopg
from psycopg import AsyncRawCursor, errors

from ledger.aggregates.aggregate import id_text
from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.names import aggregate_type_of
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.database import RACES, Connection, Database
from ledger.errors import ClockSetBack, TooMuchContention, Unwritable
from ledger.holders import Watch
from ledger.rendering import Statement
from ledger.store.decision import Author, Decide, Decision, Head, Loaded, NotLoaded, Ref
from ledger.store.event_log import NO_HASH
from ledger.store.event_rows import Writing, writing
from ledger.store.statements import load_statement, write_statement
from ledger.unreadable import Unreadable

__all__ = ["Author", "Decide", "Decision", "Loaded", "Ref", "commit", "database_time"]

# Nearly each retry means that another commit succeeded; 16 in a row is a hot spot worth an error.
MAX_TRIES = 16

# Before the server gives up a wait for a lock (`lock_timeout` of who writes).
_LOOK_AFTER_S = 6.0

# A commit that came too late after its time: nothing was written (see require_events).
LATE = "ZA006"
# A commit at a time in the closed past: the clock was set back (read.point_in_time).
ANSWERED_FOR = "ZA007"

# Not idle_in_transaction_session_timeout: PostgreSQL 18 does not start it after a pipeline.
_LASTS_AT_MOST = "SET LOCAL transaction_timeout = '10s'"
# Nothing was written. On ROLLBACK the driver would forget all prepared statements.
_NOTHING = "COMMIT"

# As PostgreSQL writes it.
_NO_HASH = "\\x" + NO_HASH.hex()

T = TypeVar("T")


async def commit(
    database: Database,
    author: Author,
    refs: Sequence[Ref],
    decide: Decide[T],
    *,
    windows_of: Sequence[str] = (),
) -> T:
    """Loads `refs` and the spend windows of `windows_of`, decides, and writes the decision.

    All of it happens or nothing. `decide` may run several times: a lost race (serialization
    failure, deadlock, a row that another commit created or changed) is retried and never stored as
    a result. Raises what `decide` raises (nothing is written then), TooMuchContention,
    ClockSetBack, RowUnreadable, DatabaseUnavailable, and Unwritable, which names who keeps a lock.
    """
    wanted = _merged(refs)
    whole = {name: Ref(ref.aggregate, ref.lock) for name, ref in wanted.items()}
    for attempt in range(MAX_TRIES):
        try:
            async with database.connection() as connection, _naming(database, connection, wanted):
                if attempt == 0:
                    result = await _unlocked(connection, author, wanted, decide, windows_of)
                else:
                    result = await _locked(connection, author, whole, decide, windows_of)
                database.written.set()
                return result
        except NotLoaded:
            continue
        except psycopg.Error as error:
            if error.sqlstate == ANSWERED_FOR:
                raise ClockSetBack(
                    "the database's clock is behind a moment of the closed past: "
                    "set it right, or wait until it is past that moment"
                ) from error
            if not isinstance(error, (*RACES, errors.UniqueViolation)) and error.sqlstate != LATE:
                raise
        # Jitter, so that the losers of one race don't meet again in the next.
        await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt) if attempt < 8 else 0.5)
    names = ", ".join(wanted)
    raise TooMuchContention(
        f"{names}: {MAX_TRIES} commits in a row lost a race: repeat it, or spread the load"
    )


@asynccontextmanager
async def _naming(
    database: Database, connection: Connection, names: Iterable[str]
) -> AsyncIterator[None]:
    """Names who is in the way of a commit that has waited for a lock in vain."""
    with Watch(database, connection, _LOOK_AFTER_S) as watch:
        try:
            yield
        except errors.LockNotAvailable:
            raise Unwritable(
                f"{', '.join(names)}: what the commit needs is locked{await watch.by_whom()}, and "
                "nothing was written: end that transaction, or repeat the commit"
            ) from None


def _merged(refs: Iterable[Ref]) -> dict[str, Ref]:
    """Merges the refs to one for each aggregate, in one order for everybody, or two commits wait
    for each other.

    Of one that is asked for both ways, the one for update stands, and the one that loads.
    """
    merged: dict[str, Ref] = {}
    for ref in sorted(refs, key=lambda ref: (ref.aggregate, ref.lock == "update", not ref.assumed)):
        merged[ref.aggregate] = ref
    return merged


async def _unlocked(
    connection: Connection,
    author: Author,
    refs: Mapping[str, Ref],
    decide: Decide[T],
    windows_of: Sequence[str],
) -> T:
    assumed = any(ref.assumed for ref in refs.values())
    loaded = await load(connection, refs, windows_of, locked=False)
    try:
        decision = decide(loaded)
        made = writing(author, loaded, decision) if decision.events else None
    except NotLoaded:
        raise
    except Exception as error:
        # On what was only assumed nobody is refused.
        if assumed:
            raise NotLoaded from error
        raise
    if made is not None:
        await _write(connection, made)
    elif assumed:
        raise NotLoaded
    return decision.result


async def _locked(
    connection: Connection,
    author: Author,
    refs: Mapping[str, Ref],
    decide: Decide[T],
    windows_of: Sequence[str],
) -> T:
    async with connection.pipeline():
        await connection.begin()
        # A worker that is frozen here must not hold others up for ever.
        await connection.execute(_LASTS_AT_MOST)
        # Twice: a statement that waited for a lock still sees nothing of what was added meanwhile.
        await _ask(connection, refs, windows_of, locked=True)
        loaded = await load(connection, refs, windows_of, locked=True)
    try:
        decision = decide(loaded)
        made = writing(author, loaded, decision, locked=True) if decision.events else None
    except Exception:
        await connection.execute(_NOTHING)
        raise
    if made is None:
        await connection.execute(_NOTHING)
        return decision.result
    async with connection.pipeline():
        await _write(connection, made)
        await connection.execute("COMMIT")
    return decision.result


async def load(
    connection: Connection, refs: Mapping[str, Ref], windows_of: Sequence[str], *, locked: bool
) -> Loaded:
    """Loads the states of a commit, in one statement; none where nothing is loaded."""
    heads = {name: _head(ref, None) for name, ref in refs.items()}
    wanted = _to_load(refs)
    if not wanted and not windows_of:
        return Loaded(heads, None, {})
    cursor = await _ask(connection, refs, windows_of, locked=locked)
    *rows, now = cast(tuple[Any, ...], await cursor.fetchone())
    spent = [_spent(row) for row in (rows.pop(0) if windows_of else ())]
    heads |= {ref.aggregate: _head(ref, row) for ref, row in zip(wanted, rows, strict=True)}
    return Loaded(heads, now, {change.window: change for change in spent})


async def _ask(
    connection: Connection, refs: Mapping[str, Ref], windows_of: Sequence[str], *, locked: bool
) -> AsyncRawCursor[Any]:
    wanted = _to_load(refs)
    statement = load_statement(
        tuple(
            (aggregate_type_of(ref.aggregate).name, ref.lock if locked else None) for ref in wanted
        ),
        bool(windows_of),
        locked,
    )
    ids = {f"id{number}": id_text(ref.aggregate) for number, ref in enumerate(wanted)}
    holders = {"holders": _array(windows_of)} if windows_of else {}
    return await _execute(connection, statement, ids | holders)


def _array(texts: Sequence[str]) -> str:
    """The texts as an array in PostgreSQL's form."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in sorted(set(texts)))
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _to_load(refs: Mapping[str, Ref]) -> list[Ref]:
    return [ref for ref in refs.values() if not ref.assumed]


def _head(ref: Ref, row: Mapping[str, Any] | Unreadable | None) -> Head:
    aggregate_type = aggregate_type_of(ref.aggregate)
    if isinstance(row, Unreadable):
        raise RowUnreadable(ref.aggregate, ())
    if row is None:
        return Head(ref, aggregate_type, None, 0, None, _NO_HASH)
    return Head(
        ref,
        aggregate_type,
        aggregate_type.state_of(row),
        row["version"],
        row["head_at"],
        row["head_hash"],
    )


def _spent(row: Mapping[str, Any]) -> SpendChange:
    try:
        window = {name: row[name] for name in SpendWindow.__struct_fields__}
        amounts = {"amount_minor": row["amount_minor"], "count": row["count"]}
        return SpendChange.read({"window": window, **amounts})
    except ValueError:
        raise RowUnreadable("a spend window", ["starts_on"]) from None


async def _write(connection: Connection, made: Writing) -> None:
    await _execute(connection, write_statement(made.parts, made.events), made.values)


async def _execute(
    connection: Connection, statement: Statement, values: Mapping[str, str | None]
) -> AsyncRawCursor[Any]:
    return await connection.execute_raw(statement.text, statement.values(values))


async def database_time(database: Database) -> datetime:
    """The database's clock now: the one that deadlines are measured by."""
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT clock_timestamp() AS now")
        row = await cursor.fetchone()
    assert row is not None
    return cast(datetime, row["now"])
