"""What is true of the whole database at the moment that a reader sees."""

from dataclasses import dataclass

from ledger.database import Connection

# A clock that was set back a little is no damage.
CLOCK_SLACK_S = 60

_NOW = """
    SELECT to_char((clock_timestamp() + make_interval(secs => %(slack)s)) AT TIME ZONE 'Etc/UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS latest,
        pg_snapshot_xmax(pg_current_snapshot())::text AS next_xid,
        (SELECT max(restored_position) FROM ledger.incarnations) AS restored
"""

# PostgreSQL's own words for the bounds: FOR VALUES FROM ('...') TO ('...').
_PARTITIONS = """
    SELECT oid::bigint AS oid,
        to_char(bounds[1]::timestamptz AT TIME ZONE 'Etc/UTC', 'YYYY-MM-DD"T"HH24:MI:SS') AS first,
        to_char(bounds[2]::timestamptz AT TIME ZONE 'Etc/UTC', 'YYYY-MM-DD"T"HH24:MI:SS') AS after
    FROM pg_class
    JOIN pg_inherits ON inhrelid = oid AND inhparent = 'ledger.event_log'::regclass,
    regexp_match(pg_get_expr(relpartbound, oid), $$FROM \\('(.*)'\\) TO \\('(.*)'\\)$$) AS bounds
"""


@dataclass(frozen=True)
class Moment:
    """Bounds of what an event of the past can carry.

    `latest` is the time that none is after (as `instant` writes it), `next_xid` a transaction id
    that none has reached unless it stands at or before position `restored`, `partitions` the times
    of each partition by its oid: from, and before.
    """

    latest: str
    next_xid: int
    restored: int
    partitions: dict[int, tuple[str, str]]


async def moment_of(connection: Connection) -> Moment:
    """The moment of the transaction that is open on this connection."""
    now = await (await connection.execute(_NOW, {"slack": CLOCK_SLACK_S})).fetchone()
    assert now is not None
    partitions = await (await connection.execute(_PARTITIONS)).fetchall()
    return Moment(
        latest=now["latest"],
        next_xid=int(now["next_xid"]),
        restored=now["restored"] or 0,
        # A default partition, which has no bounds, is none of ours: nothing belongs there.
        partitions={row["oid"]: (row["first"], row["after"]) for row in partitions if row["first"]},
    )
