"""The closed past: a moment or a position at or before which nothing can be added any more.

Why an answer for it never changes:
- A moment T is closed first (`ledger.close_past`): from then on the rule at commit refuses every
  event at or before T (ZA007). It is closed only when the clock is past T + N, where N is
  `ledger.late_after()`: a commit that comes more than N after its time is refused anyway (ZA006),
  so that nobody who keeps the time is hit.
- A transaction that passed the rule before that may still be on its way. It has written to the
  log, and whoever did holds a lock on it until what it wrote can be seen. `pg_locks` names them
  all; when they have ended, a later snapshot sees all that will ever stand at or before T.
- A position is taken under that lock. So when a position has been seen, only those that hold the
  lock then can still show a lower one.

The clock is in none of this: see docs/time-travel.md for what happens when it steps back.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from time import monotonic

from ledger.database import Connection, Database, within
from ledger.errors import StateRefused, StillOpen
from ledger.holders import OpenTransaction
from ledger.read.global_order import reaches
from ledger.read.open_transactions import writers_of_the_log
from ledger.read.points import PATIENCE_S, Explain, in_silence
from ledger.read.points import Point as Point

# Between two looks at who still writes; a commit takes a few milliseconds.
_LOOK_AGAIN_S = 0.01
# A wait that a person notices is explained.
_EXPLAIN_AFTER_S = 0.5
# Whoever has no patience comes again after this, or when the clock is past the moment.
_ASK_AGAIN_S = 1.0
# Each question is answered in milliseconds, unless the server hangs.
_ANSWERS_WITHIN_S = 2.0

# The bound of closed_past: an earlier time can't be shown in every zone.
_FIRST = datetime(1, 1, 2, tzinfo=UTC)

_CLOSE = """
    SELECT extract(epoch FROM ledger.close_past(%(moment)s))::float8 AS early_s,
        extract(epoch FROM ledger.late_after())::float8 AS late_after_s"""
_IS_STANDBY = "SELECT pg_is_in_recovery() AS is_standby"


async def wait_until_past(
    database: Database,
    *points: Point,
    patience_s: float = PATIENCE_S,
    explain: Explain = in_silence,
) -> None:
    """Waits until nothing can be added at or before any of the points.

    What is read in a transaction that begins after this is the same for ever. Waits at most
    `patience_s` and then raises StillOpen; `explain` is told, once, for whom or what it waits.
    Raises StateRefused for a point to come and on a standby, DatabaseUnavailable.
    """
    patience = _Patience(patience_s, explain)
    for point in points:
        if point.position and not await reaches(database, point.position):
            what = f"position {point} is still to come: the log has not reached it"
            raise StateRefused(what, "in_the_future")
    async with database.connection() as connection:
        waiting = _wait(connection, points, patience)
        await within(patience_s + _ANSWERS_WITHIN_S, connection, waiting)


async def _wait(connection: Connection, points: Iterable[Point], patience: "_Patience") -> None:
    await _require_primary(connection)
    for point in points:
        if point.moment is not None:
            await _close(connection, point.moment, patience)
    await _wait_for_writers(connection, patience)


class _Patience:
    """The remaining time of a wait, and whether its reason was reported."""

    def __init__(self, patience_s: float, explain: Explain) -> None:
        self._began, self._patience_s, self._explain = monotonic(), patience_s, explain
        self._explained = False

    async def pause(self, pause_s: float, why: str) -> None:
        """Waits for `pause_s`, for the reason given; raises StillOpen if that is too long."""
        waited_s = monotonic() - self._began
        if waited_s + pause_s > self._patience_s:
            raise StillOpen(f"{why} (waited {waited_s:.1f} s)", max(pause_s, _ASK_AGAIN_S))
        if waited_s + pause_s > _EXPLAIN_AFTER_S and not self._explained:
            self._explained = True
            self._explain(why)
        await asyncio.sleep(pause_s)


async def _require_primary(connection: Connection) -> None:
    [server] = await (await connection.execute(_IS_STANDBY)).fetchall()
    if server["is_standby"]:
        raise StateRefused("a standby can't tell what is past: ask the primary", "standby")


async def _close(connection: Connection, moment: datetime, patience: _Patience) -> None:
    while True:
        # What lies before the first moment of the ledger is past when that one is.
        closed = {"moment": max(moment, _FIRST)}
        [found] = await (await connection.execute(_CLOSE, closed)).fetchall()
        if found["early_s"] is None:
            return
        if found["early_s"] > found["late_after_s"]:
            raise StateRefused(f"{moment.isoformat()} is still to come", "in_the_future")
        # A little longer, since the moment itself is not enough.
        why = f"the past up to {moment.isoformat()} closes in {found['early_s']:.1f} s"
        await patience.pause(found["early_s"] + 0.001, why)


async def _wait_for_writers(connection: Connection, patience: _Patience) -> None:
    """Waits until every transaction that has written to the log by now has ended."""
    waited_for = await writers_of_the_log(connection)
    while waited_for:
        first = next(iter(waited_for.values()))
        more = f" and {len(waited_for) - 1} more" if len(waited_for) > 1 else ""
        await patience.pause(
            _LOOK_AGAIN_S, f"an open transaction may still add events: {first}{more}"
        )
        now = await writers_of_the_log(connection)
        waited_for = {key: each for key, each in now.items() if _is_same(key, each, waited_for)}


def _is_same(key: str, writer: OpenTransaction, waited_for: dict[str, OpenTransaction]) -> bool:
    # PREPARE TRANSACTION gives a transaction another key.
    return key in waited_for or writer.pid is None
