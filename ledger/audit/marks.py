"""Checks the marks of the ledger: up to where it was restored, until when its past is closed."""

from ledger.audit.aggregate_check import CLOCK_SLACK_S
from ledger.audit.findings import Findings, finding
from ledger.database import Connection

# Restored are events that are there, and the past is over. A clock that was set back a little is no
# damage.
_MARKS = """
    SELECT 'incarnation ' || incarnation AS mark,
        'it says that more was restored than the log has' AS what
    FROM ledger.incarnations
    WHERE restored_position > (SELECT coalesce(max(position), 0) FROM ledger.event_log)
    UNION ALL
    SELECT 'closed past', 'the past is closed until a time to come' FROM ledger.closed_past
    WHERE until > clock_timestamp() + make_interval(secs => %(slack)s)
    ORDER BY 1
"""


async def check_marks(connection: Connection, findings: Findings) -> None:
    """Adds a finding for each mark beyond the events that there are, or beyond now."""
    cursor = await connection.execute(_MARKS, {"slack": CLOCK_SLACK_S})
    for row in await cursor.fetchall():
        findings.add(finding("mark", row["mark"], row["what"]))
