"""`amends schedule`: the schedules that start sagas."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from starter.client.client import Amends
    from starter.client.kinds import Request
    from starter.client.scheduled import Scheduled

# So many missed moments are listed by their time, the newest first.
_TOLD = 3


@click.group()
def schedule() -> None:
    """List, pause, resume and delete schedules.

    amends pay, apply and rollback make them with --at or --cron.
    """


@schedule.command("list")
@options.utc
@options.as_json
def list_schedules(as_json: bool) -> None:
    """List the schedules and how their sagas ended.

    A moment is missed that has no run: the schedule was paused, Temporal was down, or the run
    before was still open. What came before the ten newest runs is not known.
    """
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> "list[Scheduled]":
        return await amends.schedules.list()

    found = with_amends(work)
    if as_json:
        output.document([document_of(each) for each in found])
        return
    rows = [(each.name, _next(each), _last(each), _missed(each), each.note) for each in found]
    headers = ("schedule", "next run", "last run", "missed", "what")
    output.table(headers, rows, empty="nothing is scheduled")


def submit_later(request: "Request", later: options.Later, as_json: bool) -> int:
    """Have a schedule of the name of the operation id run the request; returns the exit status."""
    from starter.cli.client import with_amends
    from starter.cli.moments import parse_when
    from starter.client.errors import BadRequest, NotAllowed
    from starter.client.kinds import kind_of
    from starter.client.schedules import check_name

    at, cron, zone = later.at, later.cron, later.time_zone
    if at and (cron or zone):
        raise BadRequest("--at runs it once: leave out --cron and --time-zone")
    if not (at or cron):
        raise BadRequest("--time-zone is the zone of a cron line: give --cron too")
    name = check_name(str(request.operation_id), "--operation-id")
    unnamed = request.model_copy(update={"operation_id": None})
    moment = parse_when(at, now=datetime.now(UTC)) if at else None

    async def work(amends: "Amends") -> "Scheduled":
        saga_id = kind_of(request).saga_id(name)
        if await amends.is_known(saga_id):
            # A repeat of that request is meant perhaps, and would be a second effect.
            raise NotAllowed(
                f"{saga_id} was submitted before: choose another --operation-id for the schedule "
                f"(amends saga {saga_id} shows that one)"
            )
        if moment:
            return await amends.schedules.once(name, unnamed, moment)
        return await amends.schedules.recurring(name, unnamed, str(cron), zone or "UTC")

    made = with_amends(work)
    if as_json:
        output.document(document_of(made))
    else:
        _tell(made)
    return 0


def _tell(made: "Scheduled") -> None:
    """Print a schedule that was just made: its next runs, and what is unusual about them."""
    output.line(f"{made.note}; at {_listed(made.next_runs)}")
    output.line(f"the saga will be {made.saga_id}")
    for sentence in made.unusual:
        output.line(f"note: {sentence}")
    output.line(f"amends schedule pause {made.name} pauses the schedule")


@schedule.command("pause")
@click.argument("name")
@options.actor
@options.reason
@options.as_json
def pause(name: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    """Pause the schedule NAME until it is resumed.

    The reason is in plain text in Temporal.
    """
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> None:
        await amends.schedules.pause(name, actor=options.person(actor), reason=reason)

    with_amends(work)
    _said(name, "paused", as_json)


@schedule.command("resume")
@click.argument("name")
@options.as_json
def resume(name: str, as_json: bool) -> None:
    """Resume the schedule NAME. What was due meanwhile does not run."""
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> None:
        await amends.schedules.resume(name)

    with_amends(work)
    _said(name, "resumed", as_json)


@schedule.command("delete")
@click.argument("name")
@options.as_json
def delete(name: str, as_json: bool) -> None:
    """Delete the schedule NAME. A saga that it has started goes on."""
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> None:
        await amends.schedules.delete(name)

    with_amends(work)
    _said(name, "deleted", as_json)


def document_of(scheduled: "Scheduled") -> dict[str, Any]:
    """A schedule as JSON. `state` is how the saga of its newest run ended or stands."""
    runs = [
        {**asdict(run), "due": _moment(run.due), "started_at": _moment(run.started_at)}
        for run in scheduled.runs
    ]
    return {
        **asdict(scheduled),
        "next_run": _moment(scheduled.next_run),
        "last_run": _moment(scheduled.last_run),
        "next_runs": [_moment(it) for it in scheduled.next_runs],
        "missed": [_moment(it) for it in scheduled.missed],
        "runs": runs,
        "state": scheduled.runs[-1].outcome.state if scheduled.runs else None,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _next(scheduled: "Scheduled") -> str:
    return "paused" if scheduled.paused else _listed(scheduled.next_runs[:1]) or "-"


def _last(scheduled: "Scheduled") -> str:
    if not scheduled.runs:
        return "-"
    run = scheduled.runs[-1]
    return f"{output.moment(run.started_at)} {run.outcome}"


def _missed(scheduled: "Scheduled") -> str:
    newest = list(reversed(scheduled.missed))
    more = f" and {len(newest) - _TOLD} more" if len(newest) > _TOLD else ""
    return _listed(newest[:_TOLD]) + more if newest else "-"


def _listed(moments: "list[datetime]") -> str:
    return ", ".join(output.moment(it) for it in moments)


def _said(name: str, what: str, as_json: bool) -> None:
    if as_json:
        output.document({"name": name, "state": what})
    else:
        output.line(f"schedule {name} is {what}")
