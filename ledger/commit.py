"""The one way to write: state rows and their events, in one transaction or not at all.

Two round trips: the first begins, locks and loads, the second writes and commits. Between them
`decide` runs: pure, given the loaded states and the database's time.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, cast
from uuid import uuid4

from psycopg import errors
from psycopg.types.json import Jsonb

from ledger.database import RACES, Connection, Database
from ledger.errors import TooMuchContention
from ledger.event_log import NO_HASH, event_hash
from ledger.noun import Event, Noun, State, aggregate_id, is_json
from ledger.nouns import noun_of
from ledger.spend import SpendChange, SpendWindow
from ledger.statements import (
    event_statement,
    head_statement,
    release_statement,
    row_statement,
    spend_statement,
    windows_statement,
)

# Each retry means that another commit succeeded; 16 in a row is a hot spot worth an error.
MAX_TRIES = 16

T = TypeVar("T")


@dataclass(frozen=True)
class Author:
    """Who writes, and in which saga: goes to every event. `user_id` is `user:`, `agent:` or
    `system:` and a name; `metadata` is JSON (workflow id, run id, activity, attempt, context)."""

    user_id: str
    saga_id: str | None = None
    step: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ref:
    """An aggregate to load: locked for `update` if this commit may write it, else for `share`."""

    aggregate: str
    lock: Literal["update", "share"] = "update"


@dataclass(frozen=True)
class Head:
    """What is loaded of an aggregate: its state, or None at version 0, if it does not exist."""

    ref: Ref
    noun: Noun
    state: Any
    version: int
    head_at: datetime | None
    head_hash: bytes


class Loaded:
    """The states a decision stands on. `now` is the database's clock after all locks are held."""

    def __init__(
        self, heads: Mapping[str, Head], now: datetime, windows: Mapping[SpendWindow, SpendChange]
    ) -> None:
        self.heads, self.now, self._windows = heads, now, windows

    def __getitem__(self, aggregate: str) -> Any:
        """The state of a loaded aggregate; None if it does not exist."""
        return self.heads[aggregate].state

    def version(self, aggregate: str) -> int:
        """How many events a loaded aggregate has."""
        return self.heads[aggregate].version

    def spent(self, window: SpendWindow) -> SpendChange:
        """What is reserved or spent in a window so far."""
        return self._windows.get(window) or SpendChange(window=window, amount_minor=0, count=0)


@dataclass(frozen=True)
class Decision(Generic[T]):
    """What `decide` wants: events per aggregate, in order, and a result for the caller.

    `limits` (minor units) bind the spend windows that the events add to.
    """

    result: T
    events: Sequence[tuple[str, Event]] = ()
    limits: Mapping[SpendWindow, int] = field(default_factory=dict)


Decide = Callable[[Loaded], Decision[T]]


class _Raced(Exception):
    """Somebody else wrote first what this commit had found absent or lower."""


async def commit(
    database: Database,
    author: Author,
    refs: Sequence[Ref],
    decide: Decide[T],
    *,
    windows_of: str | None = None,
) -> T:
    """Load `refs` (and the spend windows of agent `windows_of`), decide, write what was decided.

    All of it happens or nothing. `decide` may run several times: a lost race (serialization
    failure, deadlock, a row that another commit created) is retried and never stored as a result.
    Raises what `decide` raises (nothing is written then), TooMuchContention, DatabaseUnavailable.
    """
    for attempt in range(MAX_TRIES):
        try:
            async with database.connection() as connection:
                return await _once(connection, author, refs, decide, windows_of)
        except (_Raced, *RACES, errors.UniqueViolation):
            # Jitter, so that the losers of one race don't meet again in the next.
            await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt) if attempt < 8 else 0.5)
    names = ", ".join(ref.aggregate for ref in refs)
    raise TooMuchContention(f"lost {MAX_TRIES} races in a row for {names}")


async def _once(
    connection: Connection,
    author: Author,
    refs: Sequence[Ref],
    decide: Decide[T],
    windows_of: str | None,
) -> T:
    loaded = await _load(connection, refs, windows_of)
    decision = decide(loaded)
    if not decision.events:
        await connection.execute("ROLLBACK")
        return decision.result
    by_aggregate: dict[str, list[Event]] = {}
    for aggregate, event in decision.events:
        by_aggregate.setdefault(aggregate, []).append(event)
    async with connection.pipeline():
        for aggregate, events in by_aggregate.items():
            await _append(connection, author, loaded.heads[aggregate], events, loaded.now)
        changed = [
            await _spend(connection, change, decision.limits.get(change.window))
            for _, event in decision.events
            for change in getattr(event, "spend", ())
        ]
        for cursor in changed:
            if await cursor.fetchone() is None:
                raise _Raced
        await connection.execute("COMMIT")
    return decision.result


async def _load(connection: Connection, refs: Sequence[Ref], windows_of: str | None) -> Loaded:
    # One order for everybody, or two commits on the same two rows wait for each other.
    # Of an aggregate that is asked for both ways, the one for update stands: it comes last.
    ordered = sorted(set(refs), key=lambda ref: (ref.aggregate, ref.lock))
    async with connection.pipeline():
        await connection.execute("BEGIN")
        cursors = [
            await connection.execute(
                head_statement(ref.aggregate.split("/", 1)[0], ref.lock),
                {"aggregate_id": aggregate_id(ref.aggregate)},
            )
            for ref in ordered
        ]
        windows = windows_of and await connection.execute(
            windows_statement(), {"agent_id": windows_of}
        )
        clock = await connection.execute("SELECT clock_timestamp() AS now")
        heads = {
            ref.aggregate: _head(ref, await cursor.fetchone())
            for ref, cursor in zip(ordered, cursors, strict=True)
        }
        spent = [_spent(row) for row in await windows.fetchall()] if windows else []
        now = (await clock.fetchall())[0]["now"]
    return Loaded(heads, now, {change.window: change for change in spent})


def _head(ref: Ref, row: Mapping[str, Any] | None) -> Head:
    noun = noun_of(ref.aggregate)
    if row is None:
        return Head(ref, noun, None, 0, None, NO_HASH)
    return Head(
        ref, noun, noun.state_of(row), row["version"], row["head_at"], bytes(row["head_hash"])
    )


def _spent(row: Mapping[str, Any]) -> SpendChange:
    window = SpendWindow(**{name: row[name] for name in SpendWindow.model_fields})
    return SpendChange(window=window, amount_minor=row["amount_minor"], count=row["count"])


async def _append(
    connection: Connection, author: Author, head: Head, events: Sequence[Event], now: datetime
) -> None:
    if head.ref.lock != "update":
        raise ValueError(f"{head.ref.aggregate} was loaded for share and can't be written")
    # One timestamp for all events of a commit to an aggregate, never before its last one.
    at = max(now, head.head_at) if head.head_at else now
    state, previous = head.state, head.head_hash
    for version, event in enumerate(events, head.version + 1):
        state = head.noun.evolve(state, event)
        row = event_row(author, head.ref.aggregate, version, event, at)
        previous = row["hash"] = event_hash(previous, row)
        row["payload"], row["metadata"] = Jsonb(row["payload"]), Jsonb(row["metadata"])
        await connection.execute(event_statement(), row)
    await connection.execute(
        row_statement(head.noun.name, head.version == 0),
        _row_values(head, state, head.version + len(events), at, previous),
    )


def event_row(
    author: Author, aggregate: str, version: int, event: Event, at: datetime
) -> dict[str, Any]:
    """An event as a row of event_log, without its hash and what the database adds."""
    return {
        "event_id": uuid4(),
        "aggregate_id": aggregate_id(aggregate),
        "aggregate": aggregate,
        "version": version,
        "event_type": type(event).__name__,
        "schema_version": event.schema_version,
        "timestamp": at,
        "user_id": author.user_id,
        "saga_id": author.saga_id,
        "step": author.step,
        "payload": event.model_dump(mode="json"),
        "metadata": dict(author.metadata),
    }


def _row_values(
    head: Head, state: State, version: int, at: datetime, head_hash: bytes
) -> dict[str, Any]:
    columns = head.noun.table.c
    values = {
        name: Jsonb(value) if value is not None and is_json(columns[name].type) else value
        for name, value in head.noun.row(state).items()
    }
    values |= {"version": version, "head_at": at, "head_hash": head_hash}
    values |= {
        "aggregate": head.ref.aggregate,
        # The parameter that finds the row; an insert uses it as the column.
        "aggregate_id": aggregate_id(head.ref.aggregate),
        "expected": head.version,
    }
    return values


async def _spend(connection: Connection, change: SpendChange, limit: int | None) -> Any:
    values = change.window.model_dump() | {
        "amount_minor": change.amount_minor,
        "count": change.count,
        "limit_minor": limit,
    }
    # A release is an update: the CHECK of an upsert refuses a negative row before it finds the old.
    statement = release_statement() if change.amount_minor < 0 else spend_statement()
    return await connection.execute(statement, values)


async def database_time(database: Database) -> datetime:
    """The database's clock now: the one that deadlines are measured by."""
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT clock_timestamp() AS now")
        row = await cursor.fetchone()
    assert row is not None
    return cast(datetime, row["now"])
