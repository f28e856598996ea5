"""Reads the story of one saga for people, as it was recorded, without the models."""

from dataclasses import dataclass
from typing import Any

from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.names import aggregate_id, saga_name, step_name
from ledger.database import Connection, Database
from ledger.errors import NotFound
from ledger.read.cursors import Row, reading
from ledger.read.log import LoggedEvent, events_of_saga
from ledger.read.rows import whole
from ledger.read.waits import Waiting, waits_of
from ledger.unreadable import unreadable_in


@dataclass(frozen=True)
class SagaStory:
    """The rows of a saga and of its steps in the order of their start, what waits in it, and all
    events it wrote, oldest first."""

    row: Row
    step_rows: list[dict[str, Any]]
    waits: list[Waiting]
    events: list[LoggedEvent]


async def sagas_named(database: Database, saga_ids: list[str]) -> dict[str, Row]:
    """The rows of the sagas with these workflow ids, by workflow id; one that is not in the ledger
    is left out."""
    query = "SELECT * FROM ledger.sagas WHERE aggregate_id = ANY(%(ids)s)"
    values = {"ids": [aggregate_id(saga_name(saga_id)) for saga_id in saga_ids]}
    async with database.connection() as connection:
        rows = await (await connection.execute(query.encode(), values)).fetchall()
    return {row["workflow_id"]: row for row in whole(database, rows)}


async def binding_of(database: Database, saga_id: str) -> str | None:
    """The digest of what an approval of this payment approves; None where nothing waits for one."""
    query = b"""SELECT binding FROM ledger.authorizations
        WHERE saga_id = %(saga_id)s AND state = 'pending_approval'"""
    async with database.connection() as connection:
        row = await (await connection.execute(query, {"saga_id": saga_id})).fetchone()
    return row["binding"] if row else None


async def amounts_of(database: Database, saga_ids: list[str]) -> dict[str, dict[str, Any]]:
    """What is authorized of these payments, captured and refunded of it, and who approved, by
    workflow id: of those of which the request does not tell it."""
    query = b"""
        SELECT held.saga_id, held.currency, held.amount_minor, held.captured_minor, held.state,
            held.approved_by, policy.terms->'approvals' AS approvals, back.refunded_minor
        FROM ledger.authorizations held
        LEFT JOIN ledger.policies policy USING (agent_id)
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(refunded_minor), 0)::bigint AS refunded_minor
            FROM ledger.transfers WHERE authorization_id = held.authorization_id) AS back
        WHERE held.saga_id = ANY(%(ids)s)
            AND held.state IN ('pending_approval', 'approved', 'capturing', 'captured')
            AND (held.amount_minor < held.requested_minor OR back.refunded_minor > 0
                OR held.captured_minor > 0 AND (
                    held.state <> 'captured' OR held.captured_minor < held.amount_minor)
                OR held.state = 'pending_approval' AND held.approved_by <> '[]')"""
    async with database.connection() as connection:
        rows = await (await connection.execute(query, {"ids": saga_ids})).fetchall()
    return {row["saga_id"]: row for row in rows}


async def results_of_step(
    database: Database, saga_ids: list[str], step: str
) -> dict[str, dict[str, Any]]:
    """The recorded result of one step of these sagas, by workflow id; a saga without one is left
    out."""
    query = "SELECT saga_id, result FROM ledger.saga_steps WHERE aggregate_id = ANY(%(ids)s)"
    values = {"ids": [aggregate_id(step_name(saga_id, step)) for saga_id in saga_ids]}
    async with database.connection() as connection:
        rows = await (await connection.execute(query.encode(), values)).fetchall()
    return {row["saga_id"]: row["result"] for row in rows if isinstance(row["result"], dict)}


async def signed_by(database: Database, saga_id: str) -> str | None:
    """The id of the key that signed the request of a saga, as it was opened; None where nobody
    did."""
    query = """
        SELECT payload #>> '{signed,key}' AS key FROM ledger.event_log
        WHERE aggregate_id = %(aggregate_id)s AND event_type = 'SagaStarted'"""
    values = {"aggregate_id": aggregate_id(saga_name(saga_id))}
    async with database.connection() as connection:
        row = await (await connection.execute(query, values)).fetchone()
    return row["key"] if row else None


# What a person or an agent decides, in whose name it stands on record.
_DECISIONS = frozenset(
    ("SagaWaitEnded", "SagaCompensating", "StepRetryRequested", "StepResolved", "StepSkipped")
)


def is_unsigned(events: list[LoggedEvent]) -> bool:
    """Whether the request of a saga, or a decision on it, was not signed, by all of its events."""
    signed = {each.user_id for each in events if each.event_type == "SagaDecisionSigned"}
    return any(
        not (each.payload or {}).get("signed")
        if each.event_type == "SagaStarted"
        else each.event_type in _DECISIONS
        and not each.user_id.startswith("system:")
        and each.user_id not in signed
        for each in events
    )


async def saga(database: Database, saga_id: str) -> SagaStory:
    """A saga by its workflow id, all of it as of one moment. A step whose row can't be read is left
    out and noted. Raises NotFound, RowUnreadable."""
    async with reading(database) as connection:
        row = await _row(connection, saga_id)
        if wrong := unreadable_in(row) or _no_objects(row):
            raise RowUnreadable(saga_name(saga_id), wrong)
        steps = "SELECT * FROM ledger.saga_steps WHERE saga_id = %(saga_id)s ORDER BY ordinal"
        cursor = await connection.execute(steps.encode(), {"saga_id": saga_id})
        found = whole(database, await cursor.fetchall())
        return SagaStory(
            row=row,
            step_rows=found,
            waits=waits_of(row, found),
            events=await events_of_saga(connection, saga_id),
        )


def _no_objects(row: Row) -> list[str]:
    """The columns that hold JSON of another form than an object."""
    return [name for name in ("input", "result") if not isinstance(row[name], dict | None)]


async def _row(connection: Connection, saga_id: str) -> Row:
    query = "SELECT * FROM ledger.sagas WHERE aggregate_id = %(id)s"
    values = {"id": aggregate_id(saga_name(saga_id))}
    row = await (await connection.execute(query.encode(), values)).fetchone()
    if row is None:
        raise NotFound(f"no saga named {saga_id!r} in the ledger")
    return row
