"""`amends schedule`: the scheduled rollbacks."""

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from ledger.database import Database
    from starter.client.client import Amends
    from starter.client.schedules import Scheduled


@click.group()
def schedule() -> None:
    """List, pause, resume and delete scheduled rollbacks."""


@schedule.command("list")
@options.as_json
def list_schedules(as_json: bool) -> None:
    """List the scheduled rollbacks."""
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> "list[Scheduled]":
        return await amends.schedules.list()

    found = with_amends(work)
    states = _states([each.saga_id for each in found if each.saga_id and each.last_run])
    if as_json:
        listed = [{**document_of(each), "state": states.get(each.saga_id)} for each in found]
        output.document(listed)
        return
    rows = [(each.name, _next(each), _last(each, states), each.note) for each in found]
    headers = ("schedule", "next run", "last run", "what")
    output.table(headers, rows, empty="nothing is scheduled")


def _states(saga_ids: list[str]) -> dict[str | None, str]:
    """The states of the runs, as far as the ledger can be read and has them."""
    from starter.cli.client import with_ledger_if_any

    async def work(database: "Database") -> dict[str | None, str]:
        from ledger.errors import NotFound
        from ledger.read.sagas import saga

        states: dict[str | None, str] = {}
        for saga_id in saga_ids:
            with suppress(NotFound):
                states[saga_id] = (await saga(database, saga_id)).saga.state
        return states

    return with_ledger_if_any(work) or {} if saga_ids else {}


def _last(scheduled: "Scheduled", states: dict[str | None, str]) -> str:
    if scheduled.last_run is None:
        return "-"
    state = states.get(scheduled.saga_id)
    return _moment(scheduled.last_run) + (f" {state}" if state else "")


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


@schedule.command("pause")
@click.argument("name")
@options.actor
@options.reason
@options.as_json
def pause(name: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    """Pause the schedule NAME until it is resumed."""
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


def document_of(scheduled: "Scheduled") -> dict[str, object]:
    """A schedule as JSON."""
    next_run = scheduled.next_run.isoformat() if scheduled.next_run else None
    last_run = _moment(scheduled.last_run) if scheduled.last_run else None
    return {**asdict(scheduled), "next_run": next_run, "last_run": last_run}


def _next(scheduled: "Scheduled") -> str:
    if scheduled.paused:
        return "paused"
    return scheduled.next_run.isoformat() if scheduled.next_run else "-"


def _said(name: str, what: str, as_json: bool) -> None:
    if as_json:
        output.document({"name": name, "state": what})
    else:
        output.line(f"schedule {name} is {what}")
