"""Shows the state of a single aggregate, folded from its events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.database import Database
from ledger.read.cursors import reading
from ledger.read.fold import fold, never_was
from ledger.read.points import PATIENCE_S, Explain, Point, in_silence


@dataclass(frozen=True)
class Shown:
    """An aggregate folded from its events: `version` events, the last at `head_at`; `state` is
    JSON."""

    aggregate: str
    version: int
    head_at: datetime
    state: dict[str, Any]


async def show(
    database: Database,
    aggregate: str,
    at: Point | None = None,
    *,
    patience_s: float = PATIENCE_S,
    explain: Explain = in_silence,
) -> Shown:
    """The state of an aggregate, folded from its events: now, or at a point of the past.

    What it says of the past is the same for ever (see `read.point_in_time`, also for
    `patience_s`, `explain`, StillOpen and StateRefused). Raises NotFound,
    UnknownEvent for an event of a newer version, DatabaseUnavailable.
    """
    if at is not None:
        from ledger.read.point_in_time import wait_until_past

        await wait_until_past(database, at, patience_s=patience_s, explain=explain)
    async with reading(database) as connection:
        folded = await fold(connection, aggregate, at)
        if folded is None:
            raise await never_was(connection, aggregate, at)
    return Shown(
        aggregate=aggregate,
        version=folded.version,
        head_at=folded.head_at,
        state=folded.state.as_json(),
    )
