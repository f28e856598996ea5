"""A schedule as a person sees it, and what they have to look at."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from starter.client.schedule_runs import ScheduledRun

# How the reason of a missed moment begins.
NO_RUN = "no run"


@dataclass(frozen=True)
class Scheduled:
    """A schedule as shown to a person. `next_run` is None when nothing is to come, `last_run` until
    it has run. `saga_id` is its newest run, or until it has run, its next.

    `next_runs` are at most ten; `runs` the newest ten, the newest last, also triggered ones, with
    the ends of their sagas; `missed` the moments without a run since the oldest of `runs`.
    `unusual`, of a schedule that was just made: what its cron line does not do as elsewhere, in
    sentences.
    """

    name: str
    note: str
    paused: bool
    next_run: datetime | None
    last_run: datetime | None = None
    saga_id: str | None = None
    next_runs: list[datetime] = field(default_factory=list)
    runs: list[ScheduledRun] = field(default_factory=list)
    missed: list[datetime] = field(default_factory=list)
    unusual: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Problem:
    """What a person has to look at: a moment of a schedule that was `missed`, or a run whose saga
    `ended` otherwise than asked for. `due` is that moment; `commands` show it or make up for it, or
    end a schedule that will not run again."""

    schedule: str
    what: Literal["missed", "ended"]
    due: datetime
    reason: str
    saga_id: str
    commands: list[str]


def problems(found: list[Scheduled], where: str = "") -> list[Problem]:
    """The problems of these schedules, the oldest first: missed moments, and runs that ended badly,
    since the last run that ended as asked for. `where` ends the commands of the official CLI: the
    options with which that finds the server, after a space."""
    return sorted(
        (problem for each in found for problem in _problems_of(each, where)),
        key=lambda problem: problem.due,
    )


def _problems_of(shown: Scheduled, where: str) -> list[Problem]:
    good = max((run.due for run in shown.runs if run.outcome.is_good), default=None)
    name, found = shown.name, list[Problem]()
    # A schedule that runs no more is of no use.
    done = [] if shown.next_runs else [f"amends schedule delete {name}"]
    for due in shown.missed:
        at = f"{due:%Y-%m-%dT%H:%M:%SZ}"
        again = (
            f"temporal schedule backfill --schedule-id {name} --overlap-policy AllowAll "
            f"--start-time {at} --end-time {at}{where}"
        )
        reason = f"{NO_RUN}: the schedule was paused, Temporal was down, or the run before was open"
        found.append(Problem(name, "missed", due, reason, "", [again, *done]))
    for run in shown.runs:
        if run.outcome.is_good is False:
            look = f"amends saga {run.saga_id}"
            if not run.on_record:
                look = f"temporal workflow show --workflow-id {run.saga_id}{where}"
            why = f"its saga is {run.outcome}"
            found.append(Problem(name, "ended", run.due, why, run.saga_id, [look, *done]))
    return [problem for problem in found if good is None or problem.due > good]
