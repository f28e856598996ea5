"""Lists what waits for somebody, from the ledger: readable while Temporal is away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ledger.aggregates.names import aggregate_id
from ledger.database import Connection, Database
from ledger.read.cursors import Row, reading
from ledger.read.rows import readable, whole
from ledger.unreadable import unreadable_in

# The words of the search attribute `SagaState`, `orphaned`: no run carries the saga, and `paused`:
# its run is open and does not run.
WaitState = Literal["running", "resolving", "needs_attention", "compensating", "orphaned", "paused"]


@dataclass(frozen=True)
class Waiting:
    """One thing that waits: a saga for a decision or for its recovery, or one of its steps, as
    rows of the state tables.

    `state`: `running` (until the decision `saga.waits_for`), `orphaned` (the saga is on record as
    lost, or its run as closed, until a run takes it over), `paused` (its run is, in Temporal), or
    of a step: `resolving` (in doubt, looked up), `needs_attention` (an operator has to say),
    `compensating` (its undo had no success so far).
    """

    saga: Row
    step: Row | None
    state: WaitState
    since: datetime

    @property
    def undoing(self) -> bool:
        """Whether the undo of the step is what waits."""
        return self.step is not None and bool(self.saga["state"] == "compensating")

    @property
    def waits_for(self) -> str:
        """The step, the decision, or `recovery`."""
        if self.step is not None:
            return str(self.step["name"])
        elsewhere = {"orphaned": "recovery", "paused": "unpause"}
        return elsewhere.get(self.state) or str(self.saga["waits_for"])


_WORST_FIRST = ("orphaned", "paused", "needs_attention", "resolving", "compensating", "running")


def standing(saga: Row, waits: Sequence[Waiting]) -> tuple[str, str]:
    """The state that people see, and what the saga waits for: those of its worst steps, as the
    search attributes `SagaState` and `SagaStep` say them."""
    for state in _WORST_FIRST:
        if named := [wait.waits_for for wait in waits if wait.state == state]:
            return state, ", ".join(named)
    return str(saga["state"]), ""


# Word for word the conditions of the partial indexes.
_SAGAS = """
    SELECT * FROM ledger.sagas
    WHERE waits_for IS NOT NULL OR lost IS NOT NULL
       OR run_closed IS NOT NULL OR run_paused IS NOT NULL
    ORDER BY started_at LIMIT %(limit)s"""
_STUCK = "(attention IS NOT NULL OR delayed IS NOT NULL OR state = 'unknown')"
_STEPS = f"SELECT * FROM ledger.saga_steps WHERE {_STUCK} ORDER BY head_at LIMIT %(limit)s"
_AMONG = (
    f"SELECT * FROM ledger.saga_steps WHERE saga_id = ANY(%(names)s) AND {_STUCK} ORDER BY ordinal"
)
_BY_ID = "SELECT * FROM ledger.sagas WHERE aggregate_id = ANY(%(ids)s)"


async def waiting(database: Database, *, limit: int) -> list[Waiting]:
    """What waits, the longest wait first: of sagas and of steps the first `limit` each, as of one
    moment. Raises DatabaseUnavailable."""
    async with reading(database) as connection:
        sagas = await _rows(connection, _SAGAS, limit=limit)
        steps = await _rows(connection, _STEPS, limit=limit)
        ids = [aggregate_id(f"saga/{step['saga_id']}") for step in steps]
        of_steps = await _rows(connection, _BY_ID, ids=ids)
    by_id = {saga["workflow_id"]: saga for saga in readable(database, "saga", of_steps)}
    found = [wait for saga in readable(database, "saga", sagas) for wait in waits_of(saga, [])]
    for step in readable(database, "step", steps):
        if (saga := by_id.get(step["saga_id"])) is None:
            database.note(
                f"saga/{step['saga_id'][:200]} can't be read, and a step waits: run amends verify"
            )
            continue
        found += [wait for wait in waits_of(saga, [step]) if wait.step]
    return sorted(found, key=lambda wait: (wait.since, wait.saga["workflow_id"]))


async def waits_among(
    database: Database, connection: Connection, sagas: Sequence[Row]
) -> dict[str, list[Waiting]]:
    """What waits in the sagas of these rows, by their workflow ids."""
    names = [saga["workflow_id"] for saga in sagas if saga["ended_at"] is None]
    steps: dict[str, list[Row]] = {}
    for step in await _rows(connection, _AMONG, names=names) if names else ():
        steps.setdefault(step["saga_id"], []).append(step)
    found: dict[str, list[Waiting]] = {saga["workflow_id"]: [] for saga in sagas}
    for saga in sagas:
        # Whoever lists the sagas names the others.
        if not unreadable_in(saga):
            good = whole(database, steps.get(saga["workflow_id"], ()))
            found[saga["workflow_id"]] = waits_of(saga, good)
    return found


def waits_of(saga: Row, steps: Sequence[Row]) -> list[Waiting]:
    """What waits in one saga, by its row and those of its steps."""
    if saga["ended_at"] is not None or saga["state"] not in ("running", "compensating"):
        return []
    # A run that does not go on takes no decision: what it waited for before is not the next thing.
    if saga["lost"] is not None or saga["run_closed"] is not None:
        return [Waiting(saga, None, "orphaned", saga["run_stopped_at"] or saga["head_at"])]
    if saga["run_paused"] is not None:
        return [Waiting(saga, None, "paused", saga["run_stopped_at"] or saga["head_at"])]
    found = []
    if saga["waits_for"] is not None:
        found.append(Waiting(saga, None, "running", saga["waits_since"] or saga["head_at"]))
    for step in steps:
        if state := _state_of(saga, step):
            found.append(Waiting(saga, step, state, step["head_at"]))
    return found


def _state_of(saga: Row, step: Row) -> WaitState | None:
    # What was asked before a compensation or a take-over, which raise the epoch, is asked no more.
    if step["attention"] is not None and step["asked_in"] == saga["epoch"]:
        return "needs_attention"
    if step["state"] == "unknown" and saga["state"] == "running":
        return "resolving"
    is_undone = step["state"] in ("undone", "skipped") or saga["state"] != "compensating"
    return "compensating" if step["delayed"] is not None and not is_undone else None


async def _rows(connection: Connection, query: str, **values: object) -> list[dict[str, Any]]:
    return await (await connection.execute(query.encode(), values)).fetchall()
