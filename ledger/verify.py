"""Proves the ledger on its data: replays every aggregate and compares it with its row.

What it can't detect:
- an owner or superuser who rewrites everything alike: events, hashes, rows and windows;
- the last events of an aggregate cut off together with a row set back to where they began, or an
  aggregate that is gone with its row and all its events;
- a changed `position` or `xid` that keeps the order: both lie outside the hash;
- what never reached the ledger, and what the outside did without telling us.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Table, select

from ledger.database import Connection, Database
from ledger.event_log import event_log
from ledger.findings import Finding, finding
from ledger.noun import aggregate_id
from ledger.nouns import NOUNS
from ledger.reading import Row, reading, rows
from ledger.replay import Replay
from ledger.sagas import CLOSED

# A ledger in ruins would have millions; who sees this many knows enough.
MAX_FINDINGS = 10_000

_EVENTS = select(event_log).order_by(
    event_log.c.aggregate_id, event_log.c.version, event_log.c.timestamp
)

_STEPS = """
    SELECT step.aggregate, step.head_at, saga.aggregate IS NULL AS alone, saga.state
    FROM ledger.saga_steps step LEFT JOIN ledger.sagas saga
        ON saga.aggregate = 'saga/' || step.saga_id
    WHERE saga.aggregate IS NULL OR (step.state = 'started' AND saga.state = ANY(%(closed)s))
    ORDER BY step.aggregate LIMIT %(limit)s
"""

# Summed by the server, where any number of windows fits. A value that is no number, which only a
# damaged event can have, counts as nothing: its event is a finding of its own.
_WINDOWS = """
    WITH change AS (
        SELECT position, change->'window' AS "window",
            CASE WHEN pg_input_is_valid(change->>'amount_minor', 'bigint')
                THEN (change->>'amount_minor')::bigint ELSE 0 END AS amount_minor,
            CASE WHEN pg_input_is_valid(change->>'count', 'bigint')
                THEN (change->>'count')::bigint ELSE 0 END AS count
        FROM ledger.event_log, jsonb_path_query(payload, 'lax $.spend[*]') AS change
        WHERE payload ? 'spend'
    ), told AS (
        SELECT "window"->>'agent_id' AS agent_id, "window"->>'currency' AS currency,
            "window"->>'period' AS period, "window"->>'starts_on' AS starts_on,
            sum(amount_minor) AS amount_minor, sum(count) AS count, max(position) AS position
        FROM change GROUP BY 1, 2, 3, 4
    ), held AS (
        SELECT agent_id, currency, period, starts_on::text AS starts_on, amount_minor, count
        FROM ledger.spend_windows
    )
    SELECT agent_id, currency, period, starts_on, told.position,
        told.count IS NULL AS untold, held.count IS NULL AS unheld
    FROM told FULL JOIN held USING (agent_id, currency, period, starts_on)
    WHERE told.amount_minor IS DISTINCT FROM held.amount_minor
        OR told.count IS DISTINCT FROM held.count
    ORDER BY 1, 2, 3, 4 LIMIT %(limit)s
"""


class Verified(BaseModel):
    """What was read, and what can't be true of an intact ledger.

    At most MAX_FINDINGS are listed; `unlisted` counts the others.
    """

    model_config = ConfigDict(frozen=True)

    events: int
    aggregates: int
    findings: list[Finding]
    unlisted: int = 0

    @property
    def clean(self) -> bool:
        return not self.findings


async def verify(database: Database) -> Verified:
    """Read the whole ledger as of one moment, in bounded memory; running writers do no harm.

    The module says what it can't detect. Raises DatabaseUnavailable.
    """
    tally = _Tally()
    async with reading(database) as connection:
        await _replay_all(connection, tally)
        await _check_steps(connection, tally)
        await _check_windows(connection, tally)
    return Verified(
        events=tally.events,
        aggregates=tally.aggregates,
        findings=tally.findings,
        unlisted=tally.unlisted,
    )


class _Tally:
    def __init__(self) -> None:
        self.events = self.aggregates = self.unlisted = 0
        self.findings: list[Finding] = []

    def add(self, *findings: Finding) -> None:
        room = MAX_FINDINGS - len(self.findings)
        self.findings.extend(findings[:room])
        self.unlisted += len(findings[room:])


class _StateRows:
    """The rows of one state table by aggregate_id, with a look at the next."""

    def __init__(self, table: Table, found: AsyncIterator[Row]) -> None:
        self.table, self._found = table, found
        self.next: Row | None = None

    @classmethod
    async def begin(cls, table: Table, found: AsyncIterator[Row]) -> Self:
        stream = cls(table, found)
        await stream.advance()
        return stream

    async def advance(self) -> None:
        self.next = await anext(self._found, None)


async def _replay_all(connection: Connection, tally: _Tally) -> None:
    """Merge the events with the rows of all state tables: all of them come by aggregate_id."""
    async with AsyncExitStack() as stack:
        tables = []
        for noun in NOUNS.values():
            by_id = select(noun.table).order_by(noun.table.c.aggregate_id)
            found = await stack.enter_async_context(
                aclosing(_open(connection, noun.table.name, by_id))
            )
            tables.append(await _StateRows.begin(noun.table, found))
        events = await stack.enter_async_context(aclosing(_open(connection, "event_log", _EVENTS)))
        replay: Replay | None = None
        async for event in events:
            if replay is None or event["aggregate_id"] != replay.id:
                await _close(replay, tables, tally)
                replay = Replay(event)
            replay.add(event)
            tally.events += 1
        await _close(replay, tables, tally)
        for table in tables:
            while table.next is not None:
                await _report_alone(table, tally)


def _open(connection: Connection, name: str, statement: Any) -> AsyncGenerator[Row, None]:
    return rows(connection, name, statement)


async def _close(replay: Replay | None, tables: list[_StateRows], tally: _Tally) -> None:
    """Find the row of a replayed aggregate, and report the rows before it: they have no events."""
    if replay is None:
        return
    row, name = None, None
    for table in tables:
        while table.next is not None and table.next["aggregate_id"] < replay.id:
            await _report_alone(table, tally)
        if table.next is not None and table.next["aggregate_id"] == replay.id:
            row, name = table.next, table.table.name
            await table.advance()
    replay.close(row, name)
    tally.aggregates += 1
    tally.add(*replay.findings)


async def _report_alone(table: _StateRows, tally: _Tally) -> None:
    row = table.next
    assert row is not None
    what = f"its row in {table.table.name} has no event"
    tally.add(finding("events_missing", row["aggregate"], what, since=row["head_at"]))
    if aggregate_id(row["aggregate"]) != row["aggregate_id"]:
        what = f"its row in {table.table.name} has an aggregate_id that is not of its name"
        tally.add(finding("name", row["aggregate"], what, since=row["head_at"]))
    tally.aggregates += 1
    await table.advance()


async def _check_steps(connection: Connection, tally: _Tally) -> None:
    cursor = await connection.execute(_STEPS, {"closed": list(CLOSED), "limit": MAX_FINDINGS})
    async for row in cursor:
        where, since = row["aggregate"], row["head_at"]
        if row["alone"]:
            tally.add(finding("step_without_saga", where, "there is no such saga", since=since))
        else:
            what = f"it is still started and its saga has ended as {row['state']}"
            tally.add(finding("open_step", where, what, since=since))


async def _check_windows(connection: Connection, tally: _Tally) -> None:
    cursor = await connection.execute(_WINDOWS, {"limit": MAX_FINDINGS})
    async for row in cursor:
        where = "spend window " + "/".join(
            str(row[name]) for name in ("agent_id", "currency", "period", "starts_on")
        )
        what = "its total differs from the sum of its events"
        if row["untold"]:
            what = "no event spends in it"
        elif row["unheld"]:
            what = "it does not exist and events spend in it"
        tally.add(finding("spend_window", where, what, row["position"]))
