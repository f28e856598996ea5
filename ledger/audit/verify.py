"""Verifies the ledger on its data: replays every aggregate and compares it with its row."""

from dataclasses import dataclass
from datetime import datetime

from ledger.audit.cross_checks import check_relations
from ledger.audit.findings import Finding, Findings
from ledger.audit.laws import check_laws
from ledger.audit.marks import check_marks
from ledger.audit.scan import shares, walk
from ledger.audit.schema_check import check_rules
from ledger.audit.signatures import check_signatures
from ledger.database import Connection, Database
from ledger.errors import StateRefused, StillOpen
from ledger.read.cursors import reading
from ledger.read.global_order import reaches
from ledger.read.point_in_time import Point, wait_until_past

# For writers that are under way when it begins; a commit takes a few milliseconds.
PATIENCE_S = 2.0

CANNOT_DETECT = (
    "an owner or superuser who rewrote everything alike: events, hashes, rows and windows",
    "the last events of an aggregate cut off together with a row set back to where they began, or "
    "an aggregate that is gone with its row and all its events",
    "a changed position or transaction id that keeps the order: both lie outside the hash",
    "what happened while a rule was off, if it was put back and what was written fits together",
    "consistent lies of the worker's role, in SQL of its own: docs/guarantees.md lists them",
    "changes outside the schema: event triggers, extensions, the server itself",
    "what never reached the ledger, and what external systems did without telling us",
)
# Of a run since a position only.
NOT_LOOKED_AT = (
    "aggregates that no event has touched since then: their older events, rows and windows",
    "rows that were changed or deleted since then without an event",
    "snapshots",
)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The report of a verification: how much was read, and the findings.

    At most MAX_FINDINGS of each kind are listed; `unlisted` counts the others. `settled`: give it
    as `since` next time: no event can still appear at or before that position; None if writers
    would not end.
    `cannot_detect` says what would not have been seen.
    """

    events: int
    aggregates: int
    findings: list[Finding]
    unlisted: int = 0
    since: int | None = None
    settled: int | None = None
    cannot_detect: list[str]

    @property
    def clean(self) -> bool:
        """Whether there are no findings."""
        return not self.findings


async def verify(
    database: Database, *, since: int | datetime | None = None, processes: int = 1
) -> Verified:
    """Verifies the ledger as of one moment, in bounded memory; running writers do no harm.

    `since` a position or a time: only the aggregates that an event touched after it, each of them
    wholly, and the spend windows of their agents. `processes` share the work. Raises
    StateRefused for a position that the log has not reached, DatabaseUnavailable, ShareLost.
    """
    findings = Findings()
    async with reading(database) as connection:
        # Of a role that may read nothing, and of no damage, the error tells.
        if not await check_rules(connection, findings) and findings.listed:
            only = [
                "anything else: tables, columns or grants are missing, so nothing more was read"
            ]
            return Verified(events=0, aggregates=0, findings=findings.listed, cannot_detect=only)
    if isinstance(since, int) and since and not await reaches(database, since):
        # An empty run would look like an all-clear.
        raise StateRefused(f"the log has not reached position {since}", "in_the_future")
    settled = await _settled(database)
    async with reading(database) as connection:
        after = await _after(connection, since)
        parts = shares(processes, after)
        if processes == 1:
            walked = [await walk(connection, parts[0])]
        else:
            from ledger.audit.apart import walk_apart

            walked = await walk_apart(database, connection, parts)
        for part in walked:
            findings.include(part.findings)
        await check_marks(connection, findings)
        await check_relations(connection, after, findings)
        await check_laws(connection, after, findings)
        await check_signatures(connection, after, findings)
        return Verified(
            events=sum(part.events for part in walked),
            aggregates=sum(part.aggregates for part in walked),
            findings=findings.listed,
            unlisted=findings.unlisted,
            since=after,
            settled=settled,
            cannot_detect=[*CANNOT_DETECT, *(NOT_LOOKED_AT if after is not None else ())],
        )


async def _after(connection: Connection, since: int | datetime | None) -> int | None:
    """The position before the first event of that time."""
    if not isinstance(since, datetime):
        return since
    query = """
        SELECT coalesce(
            (SELECT min(position) - 1 FROM ledger.event_log WHERE "timestamp" >= %(since)s),
            (SELECT max(position) FROM ledger.event_log), 0) AS position"""
    row = await (await connection.execute(query, {"since": since})).fetchone()
    assert row is not None
    return int(row["position"])


async def _settled(database: Database) -> int | None:
    """A position at or before which no event can appear any more; None where that takes too
    long."""
    # In the order of the log, which has the index; what was restored is settled as a whole.
    query = """
        SELECT coalesce((
            SELECT position FROM ledger.event_log WHERE position > restored
            ORDER BY xid DESC, position DESC LIMIT 1), restored) AS position
        FROM (
            SELECT coalesce(max(restored_position), 0) AS restored FROM ledger.incarnations)"""
    async with database.connection() as connection:
        row = await (await connection.execute(query)).fetchone()
    assert row is not None
    try:
        await wait_until_past(database, Point(position=row["position"]), patience_s=PATIENCE_S)
    except (StillOpen, StateRefused):
        return None
    return int(row["position"])
