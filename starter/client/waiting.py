"""Lists everything that somebody must do: decisions, steps that can't get on, runs that Temporal
lost or paused, schedules. From the ledger first, so that it is readable while Temporal is away."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ledger.database import Database
from ledger.errors import NotFound
from ledger.read.sagas import saga as saga_story
from ledger.read.waits import Waiting, waiting
from starter.client.errors import Unreachable
from starter.client.recorded import wait_of
from starter.client.runs import Stopped, stopped_runs
from starter.client.subject import facts_of
from workflows.contract.kinds import kind_named
from workflows.contract.progress import ANY_USER, Wait, orphan_wait, paused_wait

if TYPE_CHECKING:
    from starter.client.client import Amends
    from starter.client.schedules import Scheduled

# Of sagas and of steps: whoever has more needs another tool.
MOST = 1_000
# The list of schedules follows a run after about a second, and longer while a server is busy.
_LATE = timedelta(minutes=1)


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
        called = "schedule" if self.kind == "schedule" else "saga_id"
        told = self.wait.model_dump(mode="json")
        return {called: self.name, "kind": self.kind, **told, "what": self.facts}


@dataclass(frozen=True)
class Todos:
    """The list, the longest wait first, and in `lacks` what it does not hold, a sentence each."""

    rows: list[Todo]
    lacks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScheduleProblem:
    """What a person has to look at in a schedule: a moment that was `missed`, or a run whose saga
    `ended` otherwise than asked for. `due` is that moment, `command` shows or repeats it."""

    schedule: str
    what: str
    due: datetime | None
    reason: str
    saga_id: str
    command: str


async def recorded_todos(database: Database) -> list[Todo]:
    """What waits according to the ledger."""
    return [_todo(each) for each in await waiting(database, limit=MOST)]


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
    stopped = {each.saga_id for each in compared.stopped}
    # A run that does not go on takes no decision: what it waited for before is not the next thing.
    # One that is on record as lost is a row already.
    kept = [row for row in rows if row.name not in stopped or row.wait.state == "orphaned"]
    known = {row.name for row in kept}
    found = [
        await _stopped_todo(database, each)
        for each in compared.stopped
        if each.saga_id not in known
    ]
    problems = await schedule_problems(database, schedules)
    of_schedules = schedule_todos(problems, {each.name: each.note for each in schedules})
    return Todos(_sorted([*kept, *found, *of_schedules]), [*lacks, *compared.lacks])


async def _stopped_todo(database: Database, stopped: Stopped) -> Todo:
    saga = (await saga_story(database, stopped.saga_id)).saga
    if stopped.is_paused:
        wait = paused_wait(stopped.saga_id)
    else:
        why = f"its run is {stopped.how} in Temporal"
        wait = orphan_wait(stopped.since or saga.started_at, why)
    return Todo(saga.workflow_id, saga.kind, wait, facts_of(saga.kind, saga.input))


def schedule_todos(problems: Iterable[ScheduleProblem], notes: Mapping[str, str]) -> list[Todo]:
    """The rows of schedules that need somebody. `notes` say what each schedule does."""
    return [
        Todo(
            problem.schedule,
            "schedule",
            Wait(
                waits_for=problem.what,
                state="schedule",
                whom=ANY_USER,
                since=problem.due,
                why=problem.reason,
                commands=[problem.command],
            ),
            {
                name: text
                for name, text in (
                    ("what", notes.get(problem.schedule, "")),
                    ("run", problem.saga_id),
                )
                if text
            },
        )
        for problem in problems
    ]


async def schedule_problems(
    database: Database, schedules: Sequence["Scheduled"]
) -> list[ScheduleProblem]:
    """The schedules whose one moment passed without a run, and those whose last run ended otherwise
    than asked, by the ledger."""
    problems = []
    now = datetime.now(UTC)
    for each in schedules:
        saga_id = each.saga_id or ""
        due = each.next_run
        if each.last_run is not None:
            if state := await _ended_otherwise(database, saga_id):
                reason, command = f"its last run is {state}", f"amends saga {saga_id}"
                told = (each.name, "ended", each.last_run, reason, saga_id, command)
                problems.append(ScheduleProblem(*told))
        elif due is None or due < (now if each.paused else now - _LATE):
            reason = "it was paused when its moment came" if each.paused else "its moment passed"
            command = f"amends schedule delete {each.name}"
            problems.append(ScheduleProblem(each.name, "missed", due, reason, "", command))
    return problems


async def _ended_otherwise(database: Database, saga_id: str) -> str:
    """The end of a run if the schedule asked for another one; empty while it has none."""
    try:
        saga = (await saga_story(database, saga_id)).saga
    except NotFound:
        return ""
    kind = kind_named(saga_id)
    end = str((saga.result or {}).get("state") or saga.state)
    return end if saga.closed and (kind is None or end not in kind.good_ends) else ""


def _todo(waiting: Waiting) -> Todo:
    saga = waiting.saga
    facts = facts_of(saga["kind"], saga["input"])
    return Todo(saga["workflow_id"], saga["kind"], wait_of(waiting), facts)


def _sorted(rows: list[Todo]) -> list[Todo]:
    now = datetime.now(UTC)
    return sorted(rows, key=lambda row: (row.wait.since or now, row.name))
