"""Lists the open sagas: what a sweep and `amends waiting` compare with the runs in Temporal."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from ledger.aggregates.errors import RowUnreadable, row_name
from ledger.aggregates.names import aggregate_id, saga_name
from ledger.database import Database
from ledger.unreadable import unreadable_in

# Small enough to be asked of Temporal in a second or two.
PAGE = 500


@dataclass(frozen=True)
class OpenSaga:
    """A saga that has not ended, and the run that carries it; `run_closed` or `run_paused` is the
    status of a run that is on record as not going on since `run_stopped_at`. Its row has been
    unchanged since `head_at`, by the clock that says `now`."""

    aggregate_id: Any
    aggregate: str
    workflow_id: str
    kind: str
    epoch: int
    namespace: str
    namespace_id: str
    run_id: str
    run_closed: str | None
    run_paused: str | None
    run_stopped_at: datetime | None
    started_at: datetime
    head_at: datetime
    now: datetime


_COLUMNS = ", ".join(each.name for each in fields(OpenSaga) if each.name != "now")
_OPEN = f"SELECT {_COLUMNS}, clock_timestamp() AS now FROM ledger.sagas WHERE ended_at IS NULL"
_ORDER = "ORDER BY started_at, aggregate_id LIMIT %(at_most)s"
_FIRST = f"{_OPEN} {_ORDER}"
_NEXT = f"{_OPEN} AND (started_at, aggregate_id) > (%(started_at)s, %(aggregate_id)s) {_ORDER}"
_AMONG = f"{_OPEN} AND aggregate_id = ANY(%(ids)s)"
_STOPPED = (
    f"{_OPEN} AND (run_closed IS NOT NULL OR run_paused IS NOT NULL) AND lost IS NULL "
    f"AND namespace_id = %(here)s {_ORDER}"
)


async def open_sagas(
    database: Database, at_most: int = PAGE, tell: Callable[[str], None] | None = None
) -> AsyncIterator[list[OpenSaga]]:
    """All open sagas, the oldest first, in pages of `at_most`. `tell` (else `database.note`) is
    told of each row that can't be read, in a sentence; the others are yielded."""
    rows = await _rows(database, _FIRST, {"at_most": at_most})
    while rows:
        yield _sagas_in(rows, tell or database.note)
        # As it stands, and may be nothing that Python has.
        after = {name: rows[-1][name] for name in ("started_at", "aggregate_id")}
        rows = await _rows(database, _NEXT, {**after, "at_most": at_most})


async def still_open(database: Database, sagas: Sequence[OpenSaga]) -> list[OpenSaga]:
    """The given sagas that are open now, in the same epoch."""
    epochs = {saga.aggregate_id: saga.epoch for saga in sagas}
    found = await _read(database, _AMONG, {"ids": list(epochs)})
    return [saga for saga in found if epochs[saga.aggregate_id] == saga.epoch]


async def find_open(database: Database, saga_id: str) -> OpenSaga | None:
    """The saga of this id, if it is open. Raises RowUnreadable."""
    found = await _rows(database, _AMONG, {"ids": [aggregate_id(saga_name(saga_id))]})
    return _saga_in(found[0]) if found else None


async def sagas_of_runs(database: Database, saga_ids: Sequence[str], here: str) -> list[OpenSaga]:
    """The sagas of these ids that are open, and the oldest of the namespace with this id whose run
    is on record as not going on."""
    ids = [aggregate_id(saga_name(saga_id)) for saga_id in saga_ids]
    among = await _read(database, _AMONG, {"ids": ids}) if ids else []
    stopped = await _read(database, _STOPPED, {"at_most": PAGE, "here": here})
    return list({saga.workflow_id: saga for saga in [*among, *stopped]}.values())


async def _read(database: Database, query: str, values: dict[str, Any]) -> list[OpenSaga]:
    return _sagas_in(await _rows(database, query, values), database.note)


async def _rows(database: Database, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        return await (await connection.execute(query.encode(), values)).fetchall()


def _sagas_in(rows: Sequence[dict[str, Any]], tell: Callable[[str], None]) -> list[OpenSaga]:
    found = []
    for row in rows:
        try:
            found.append(_saga_in(row))
        except RowUnreadable as error:
            tell(str(error))
    return found


def _saga_in(row: dict[str, Any]) -> OpenSaga:
    """The open saga of a row. Raises RowUnreadable, also for a row that claims to be another."""
    if wrong := unreadable_in(row):
        raise RowUnreadable(row_name(row), wrong)
    if row["aggregate"] != saga_name(row["workflow_id"]):
        raise RowUnreadable(row_name(row), ["workflow_id"])
    return OpenSaga(**row)
