"""Checks what must hold beyond one aggregate: steps and sagas, spend windows, snapshots."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from ledger.aggregates.aggregate import State, UnknownEvent, aggregate_id
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.saga import CLOSED, saga_name
from ledger.aggregates.saga_step import UNDECIDED
from ledger.audit.findings import MAX_FINDINGS, Finding, Findings, Kind, finding
from ledger.database import Connection
from ledger.errors import LogDamaged
from ledger.read.fold import event_in, events_of
from ledger.read.snapshots import differing
from ledger.store.canonical_json import decoded

_AGGREGATES = "SELECT DISTINCT aggregate_id, aggregate FROM ledger.snapshots ORDER BY aggregate"
_STANDING = """
    SELECT aggregate_id, aggregate, version, "timestamp", hash, fold, made_at,
        state::text AS state
    FROM ledger.snapshots
    WHERE aggregate_id = %(aggregate_id)s AND aggregate = %(aggregate)s"""


@dataclass(frozen=True)
class WrongSnapshot:
    """A snapshot that differs from the log. `differs`: its columns that are wrong, or none if the
    log has no such event. A reader would have used it only if `state` alone is among them."""

    aggregate: str
    version: int
    differs: tuple[str, ...]


async def wrong_snapshots(connection: Connection) -> AsyncGenerator[WrongSnapshot, None]:
    """All snapshots that are wrong, by aggregate and version; each aggregate is folded once.

    The connection is in a transaction that sees one moment. What can't be replayed is not judged.
    """
    for found in await (await connection.execute(_AGGREGATES)).fetchall():
        cursor = await connection.execute(_STANDING, found)
        standing = {
            row["version"]: row | {"state": decoded(row["state"])}
            for row in await cursor.fetchall()
        }
        name = found["aggregate"]
        if found["aggregate_id"] != aggregate_id(name):
            for version in sorted(standing):
                yield WrongSnapshot(name, version, ("aggregate_id",))
        elif name.split("/", 1)[0] in AGGREGATE_TYPES:
            async with aclosing(_wrong(connection, name, standing)) as wrong:
                async for snapshot in wrong:
                    yield snapshot


async def _wrong(
    connection: Connection, aggregate: str, standing: dict[int, dict[str, object]]
) -> AsyncGenerator[WrongSnapshot, None]:
    aggregate_type = AGGREGATE_TYPES[aggregate.split("/", 1)[0]]
    state: State | None = None
    async with aclosing(events_of(connection, aggregate)) as events:
        async for event in events:
            try:
                state = aggregate_type.evolve(state, event_in(aggregate_type, event))
            except (UnknownEvent, LogDamaged, ValueError):
                return
            snapshot = standing.pop(event["version"], None)
            if snapshot is not None and (differs := differing(snapshot, event, state)):
                yield WrongSnapshot(aggregate, event["version"], tuple(differs))
    for version in sorted(standing):
        yield WrongSnapshot(aggregate, version, ())


Row = dict[str, Any]

_STEPS = """
    SELECT step.aggregate, step.head_at, step.state, step.saga_id, step.epoch, step.ordinal,
        saga.state AS saga_state, saga.epoch AS saga_epoch
    FROM ledger.saga_steps step
    LEFT JOIN ledger.sagas saga ON saga.aggregate = 'saga/' || step.saga_id
    WHERE saga.aggregate IS NULL
        OR step.epoch NOT BETWEEN 1 AND saga.epoch
        OR step.ordinal < 1
        OR (step.state IN ('started', 'unknown') AND saga.state = ANY(%(closed)s))
        OR (step.state IN ('undone', 'skipped') AND saga.state IN ('running', 'completed'))
        OR (step.state = 'done' AND step.undo IS NOT NULL AND saga.state = 'compensated')
    ORDER BY step.aggregate LIMIT %(limit)s
"""

# The steps say it of the sagas that have some.
_SAGAS = """
    SELECT event.saga_id, min(event.position) AS position, min(event."timestamp") AS since
    FROM ledger.event_log event
    WHERE event.saga_id IS NOT NULL AND event.position > %(after)s
        AND NOT EXISTS (
            SELECT FROM ledger.sagas WHERE sagas.aggregate = 'saga/' || event.saga_id)
        AND NOT EXISTS (
            SELECT FROM ledger.saga_steps WHERE saga_steps.saga_id = event.saga_id)
    GROUP BY event.saga_id ORDER BY event.saga_id LIMIT %(limit)s
"""

# Summed by the server, where any number of windows fits. A value that is no number, which only a
# damaged event can have, counts as nothing: its event is a finding of its own.
_WINDOWS = """
    WITH {holders} change AS (
        SELECT position, change->'window' AS "window",
            CASE WHEN pg_input_is_valid(change->>'amount_minor', 'bigint')
                THEN (change->>'amount_minor')::bigint ELSE 0 END AS amount_minor,
            CASE WHEN pg_input_is_valid(change->>'count', 'bigint')
                THEN (change->>'count')::bigint ELSE 0 END AS count
        FROM ledger.event_log, jsonb_path_query(payload, 'lax $.spend[*]') AS change
        WHERE payload ? 'spend' {of_touched}
    ), told AS (
        SELECT "window"->>'agent_id' AS agent_id, "window"->>'currency' AS currency,
            "window"->>'period' AS period, "window"->>'starts_on' AS starts_on,
            sum(amount_minor) AS amount_minor, sum(count) AS count, max(position) AS position
        FROM change GROUP BY 1, 2, 3, 4
    ), held AS (
        SELECT agent_id, currency, period, starts_on::text AS starts_on, amount_minor, count
        FROM ledger.spend_windows {touched}
    )
    SELECT agent_id, currency, period, starts_on, told.position,
        told.count IS NULL AS untold, held.count IS NULL AS unheld
    FROM told FULL JOIN held USING (agent_id, currency, period, starts_on)
    WHERE told.amount_minor IS DISTINCT FROM held.amount_minor
        OR told.count IS DISTINCT FROM held.count
    ORDER BY 1, 2, 3, 4 LIMIT %(limit)s
"""
# The agents and mandates whose windows were touched, and all that spends in these: authorizations,
# and transfers that arrived.
_HOLDERS = """changed AS (
        SELECT aggregate_id FROM ledger.event_log WHERE position > %(after)s
    ), touched AS (
        SELECT agent_id, mandates FROM ledger.authorizations
        WHERE aggregate_id IN (SELECT aggregate_id FROM changed)
        UNION ALL SELECT agent_id, mandates FROM ledger.authorizations
        JOIN ledger.transfers AS transfer USING (authorization_id)
        WHERE transfer.aggregate_id IN (SELECT aggregate_id FROM changed)
    ), holder AS (
        SELECT agent_id AS name FROM touched
        UNION SELECT 'mandate/' || (id #>> '{}')
        FROM touched, jsonb_path_query(mandates, 'lax $[*]') AS id
    ), spender AS (
        SELECT aggregate_id, authorization_id FROM ledger.authorizations
        WHERE agent_id IN (SELECT name FROM holder)
        UNION SELECT aggregate_id, authorization_id FROM ledger.authorizations
        CROSS JOIN jsonb_path_query(mandates, 'lax $[*]') AS id
        WHERE mandates <> '[]' AND 'mandate/' || (id #>> '{}') IN (SELECT name FROM holder)
    ),"""
_OF_HOLDERS = """
        AND change#>>'{window,agent_id}' IN (SELECT name FROM holder)
        AND aggregate_id IN (
            SELECT aggregate_id FROM spender
            UNION SELECT transfer.aggregate_id FROM ledger.transfers AS transfer
            JOIN spender USING (authorization_id))"""


async def check_relations(connection: Connection, after: int | None, findings: Findings) -> None:
    """Adds the findings between aggregates; `after`: spend and sagas touched beyond that position.

    Where an aggregate has a finding of its own already, its relations can't be judged.
    """
    values = {"closed": list(CLOSED), "limit": MAX_FINDINGS, "after": after or 0}
    told = findings.unjudged
    cursor = await connection.execute(_STEPS, values)
    for row in await cursor.fetchall():
        if told.isdisjoint({row["aggregate"], saga_name(row["saga_id"])}):
            kind, what = _wrong_step(row)
            findings.add(finding(kind, row["aggregate"], what, since=row["head_at"]))
    cursor = await connection.execute(_SAGAS, values)
    for row in await cursor.fetchall():
        where = saga_name(row["saga_id"])
        if where not in told:
            what = "the saga has events and does not exist"
            findings.add(finding("saga_missing", where, what, row["position"], row["since"]))
    await _check_windows(connection, values, is_whole=after is None, findings=findings)
    if after is None:
        async with aclosing(wrong_snapshots(connection)) as wrong:
            async for snapshot in wrong:
                if snapshot.aggregate not in told:
                    findings.add(_wrong_snapshot(snapshot))


def _wrong_snapshot(snapshot: WrongSnapshot) -> Finding:
    differs = ", ".join(snapshot.differs)
    what = f"{differs} of the snapshot at version {snapshot.version} differ from the events' fold"
    if not differs:
        what = f"there is a snapshot at version {snapshot.version} and no such event"
    return finding("snapshot", snapshot.aggregate, what)


def _wrong_step(row: Row) -> tuple[Kind, str]:
    if row["saga_state"] is None:
        return "saga_missing", f"saga {row['saga_id']} does not exist"
    if row["ordinal"] < 1:
        return "step", f"the step has the ordinal {row['ordinal']}"
    if not 1 <= row["epoch"] <= row["saga_epoch"]:
        return "step", f"the step is of epoch {row['epoch']}, its saga at epoch {row['saga_epoch']}"
    if row["state"] in UNDECIDED:
        return (
            "open_step",
            f"the step is still {row['state']}, its saga has ended as {row['saga_state']}",
        )
    return "step", f"the step is {row['state']}, its saga {row['saga_state']}"


async def _check_windows(
    connection: Connection, values: Row, *, is_whole: bool, findings: Findings
) -> None:
    query = _WINDOWS.format(
        holders="" if is_whole else _HOLDERS,
        of_touched="" if is_whole else _OF_HOLDERS,
        touched="" if is_whole else "WHERE agent_id IN (SELECT name FROM holder)",
    )
    cursor = await connection.execute(query, values)
    for row in await cursor.fetchall():
        where = "spend window " + "/".join(
            str(row[name]) for name in ("agent_id", "currency", "period", "starts_on")
        )
        what = "the total of the window differs from the sum of its events"
        if row["untold"]:
            what = "no event spends in this window"
        elif row["unheld"]:
            what = "the window does not exist, and events spend in it"
        findings.add(finding("spend_window", where, what, row["position"]))
