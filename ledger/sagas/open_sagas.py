"""Lists the open sagas: what a sweep and `amends waiting` compare with the runs in Temporal."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from ledger.aggregates.names import aggregate_id, saga_name
from ledger.database import Database

# Small enough to be asked of Temporal in a second or two.
PAGE = 500


@dataclass(frozen=True)
class OpenSaga:
    """A saga that has not ended, and the run that carries it; `run_closed` or `run_paused` is the
    status of a run that is on record as not going on. Its row has been unchanged since `head_at`,
    by the clock that says `now`."""

    aggregate_id: Any
    workflow_id: str
    kind: str
    epoch: int
    namespace: str
    namespace_id: str
    run_id: str
    run_closed: str | None
    run_paused: str | None
    started_at: datetime
    head_at: datetime
    now: datetime


_COLUMNS = ", ".join(each.name for each in fields(OpenSaga) if each.name != "now")
_OPEN = f"SELECT {_COLUMNS}, clock_timestamp() AS now FROM ledger.sagas WHERE ended_at IS NULL"
_ORDER = "ORDER BY started_at, aggregate_id LIMIT %(at_most)s"
_FIRST = f"{_OPEN} {_ORDER}"
_NEXT = f"{_OPEN} AND (started_at, aggregate_id) > (%(started_at)s, %(aggregate_id)s) {_ORDER}"
_AMONG = f"{_OPEN} AND aggregate_id = ANY(%(ids)s)"
_STOPPED = f"{_OPEN} AND (run_closed IS NOT NULL OR run_paused IS NOT NULL) LIMIT %(at_most)s"


async def open_sagas(database: Database, at_most: int = PAGE) -> AsyncIterator[list[OpenSaga]]:
    """All open sagas, the oldest first, in pages of `at_most`."""
    page = await _read(database, _FIRST, {"at_most": at_most})
    while page:
        yield page
        last = page[-1]
        after = {"started_at": last.started_at, "aggregate_id": last.aggregate_id}
        page = await _read(database, _NEXT, {**after, "at_most": at_most})


async def still_open(database: Database, sagas: Sequence[OpenSaga]) -> list[OpenSaga]:
    """The given sagas that are open now, in the same epoch."""
    epochs = {saga.aggregate_id: saga.epoch for saga in sagas}
    found = await _read(database, _AMONG, {"ids": list(epochs)})
    return [saga for saga in found if epochs[saga.aggregate_id] == saga.epoch]


async def find_open(database: Database, saga_id: str) -> OpenSaga | None:
    """The saga of this id, if it is open."""
    found = await _read(database, _AMONG, {"ids": [aggregate_id(saga_name(saga_id))]})
    return found[0] if found else None


async def sagas_of_runs(database: Database, saga_ids: Sequence[str]) -> list[OpenSaga]:
    """The sagas of these ids that are open, and the first whose run is on record as not going
    on."""
    ids = [aggregate_id(saga_name(saga_id)) for saga_id in saga_ids]
    among = await _read(database, _AMONG, {"ids": ids}) if ids else []
    stopped = await _read(database, _STOPPED, {"at_most": PAGE})
    return list({saga.workflow_id: saga for saga in [*among, *stopped]}.values())


async def _read(database: Database, query: str, values: dict[str, Any]) -> list[OpenSaga]:
    async with database.connection() as connection:
        cursor = await connection.execute(query.encode(), values)
        return [OpenSaga(**row) for row in await cursor.fetchall()]
