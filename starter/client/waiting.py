"""Lists everything that somebody must do: decisions, steps that can't get on, runs that Temporal
lost or paused, schedules. From the ledger first, so that it is readable while Temporal is away."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ledger.database import Database
from ledger.read.cases import cases
from ledger.read.cursors import Row
from ledger.read.sagas import amounts_of, sagas_named
from ledger.read.waits import Waiting, waiting
from starter.client.connection import server_options
from starter.client.errors import Unreachable
from starter.client.planned import operations_on_record
from starter.client.recorded import wait_of
from starter.client.runs import stopped_runs
from starter.client.scheduled import NO_RUN, Problem, Scheduled, problems
from starter.client.subject import amount_facts, case_facts, facts_of
from workflows.contract.runs import RunStatus
from workflows.contract.waits import ANY_USER, Wait, orphan_wait, paused_wait

if TYPE_CHECKING:
    from starter.client.client import Amends

# Of sagas and of steps: whoever has more needs another tool.
MOST = 1_000


@dataclass(frozen=True)
class Todo:
    """One thing that somebody must do: of the saga or the schedule `name`, what it waits for, and
    the facts that a decision needs, by their names."""

    name: str
    kind: str
    wait: Wait
    facts: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The row as JSON."""
        called = self.kind if self.kind in ("schedule", "case") else "saga_id"
        return {called: self.name, "kind": self.kind, **vars(self.wait), "what": self.facts}


@dataclass(frozen=True)
class Todos:
    """The list, the longest wait first, and in `lacks` what it does not hold, a sentence each."""

    rows: list[Todo]
    lacks: list[str] = field(default_factory=list)


async def recorded_todos(database: Database) -> list[Todo]:
    """What waits according to the ledger."""
    open_cases = [_case_todo(case) for case in await cases(database, limit=MOST)]
    rows = await waiting(database, limit=MOST)
    sagas = {row.saga["workflow_id"]: (row.saga["kind"], row.saga["input"]) for row in rows}
    planned = await operations_on_record(database, sagas)
    amounts = await amounts_of(database, [name for name in sagas if name.startswith("payment/")])
    found = [_todo(row, planned.get(row.saga["workflow_id"], [])) for row in rows]
    shown = [
        replace(todo, facts={**todo.facts, **amount_facts(amounts.get(todo.name))})
        for todo in found
    ]
    return [*open_cases, *shown]


async def todos(database: Database, amends: "Amends | None", why_not: str = "") -> Todos:
    """The whole list. Without a client it is that of the ledger, and says what it lacks and
    `why_not`."""
    rows = await recorded_todos(database)
    lacks = (
        [] if len(rows) < MOST else [f"of sagas and of steps {MOST} each are read: more may wait"]
    )
    if amends is None:
        lack = "the list lacks runs that were terminated or paused in Temporal, and schedules"
        return Todos(_sorted(rows), [*lacks, f"{lack}: {why_not}"])
    try:
        compared = await stopped_runs(amends.client, database)
        schedules = await amends.schedules.list()
    except Unreachable as error:
        return await todos(database, None, str(error))
    # A run that does not go on takes no decision: what it waited for before is not the next thing.
    # One that is on record as such is a row already.
    here = server_options(amends.client)
    kept = [
        _placed(row, compared.elsewhere.get(row.name), here)
        for row in rows
        if row.name not in compared.stopped or row.wait.state in ("orphaned", "paused")
    ]
    known = {row.name for row in kept}
    unlisted = [saga_id for saga_id in compared.stopped if saga_id not in known]
    found = [
        await _stopped_todo(database, saga, compared.stopped[saga_id], here)
        for saga_id, saga in (await sagas_named(database, unlisted)).items()
    ]
    shown = [*kept, *found, *schedule_todos(schedules, here)]
    return Todos(_sorted(shown), [*lacks, *compared.lacks])


def _placed(row: Todo, elsewhere: str | None, here: str) -> Todo:
    """The row of the ledger, with what only a client knows: where the saga's Temporal is."""
    changed: dict[str, Any] = {}
    if elsewhere is not None:
        why = f"carried by another Temporal (namespace {elsewhere})"
        changed = {"why": "; ".join(filter(None, [why, row.wait.why])), "commands": []}
    elif row.wait.state == "paused":
        changed = {"commands": [command + here for command in row.wait.commands]}
    return replace(row, wait=replace(row.wait, **changed))


async def _stopped_todo(database: Database, saga: Row, status: RunStatus, where: str) -> Todo:
    saga_id = saga["workflow_id"]
    if status.is_stopped:
        wait = paused_wait(saga_id, status.name, where, until=saga["waits_until"])
    else:
        why = f"its run is {status.words} in Temporal"
        wait = orphan_wait(status.closed_at or saga["started_at"], why)
    planned = await operations_on_record(database, {saga_id: (saga["kind"], saga["input"])})
    facts = facts_of(saga["kind"], saga["input"], planned.get(saga_id, []))
    return Todo(saga_id, saga["kind"], wait, facts)


def schedule_todos(schedules: list[Scheduled], where: str = "") -> list[Todo]:
    """The rows of schedules that missed a moment or whose saga ended otherwise than asked. Of many
    missed moments of one schedule, and of runs that failed alike, the oldest is a row, which says
    how many followed. `where`: see `problems`."""
    notes = {each.name: each.note for each in schedules}
    alike = dict[tuple[str, str, str], list[Problem]]()
    for problem in problems(schedules, where):
        why = "" if problem.what == "missed" else problem.reason
        alike.setdefault((problem.schedule, problem.what, why), []).append(problem)
    found = [_folded(first, len(later)) for first, *later in alike.values()]
    return [_schedule_todo(problem, notes[problem.schedule]) for problem in found]


def _folded(first: Problem, later: int) -> Problem:
    many = f"{later} later {'moment' if first.what == 'missed' else 'run'}{'s' * (later > 1)}"
    if not later:
        return first
    if first.what != "missed":
        return replace(first, reason=f"{first.reason}; so did {many}")
    why = first.reason.removeprefix(NO_RUN)
    return replace(first, reason=f"{NO_RUN} at this and {many}{why}")


def _schedule_todo(problem: Problem, note: str) -> Todo:
    wait = Wait(
        waits_for=problem.what,
        state="schedule",
        whom=ANY_USER,
        since=problem.due,
        why=problem.reason,
        commands=problem.commands,
    )
    facts = {"what": note, "run": problem.saga_id}
    return Todo(
        problem.schedule, "schedule", wait, {name: text for name, text in facts.items() if text}
    )


def _todo(waiting: Waiting, planned: list[str]) -> Todo:
    saga = waiting.saga
    facts = facts_of(saga["kind"], saga["input"], planned)
    return Todo(saga["workflow_id"], saga["kind"], wait_of(waiting), facts)


def _case_todo(case: Row) -> Todo:
    wait = Wait(
        waits_for=case["kind"],
        state="case",
        whom=ANY_USER,
        since=case["opened_at"],
        why=case["detail"] or "",
        commands=[f"amends case close {case['case_id']} --evidence TEXT"],
    )
    return Todo(f"case/{case['case_id']}", "case", wait, case_facts(case))


def _sorted(rows: list[Todo]) -> list[Todo]:
    now = datetime.now(UTC)
    return sorted(rows, key=lambda row: (row.wait.since or now, row.name))
