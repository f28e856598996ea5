"""`amends schedule`: rollbacks that will run."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from starter.schedules import Scheduled
    from starter.sdk import Amends


@click.group()
def schedule() -> None:
    """What runs later: see amends rollback --at."""


@schedule.command("list")
@options.as_json
def list_schedules(as_json: bool) -> None:
    """List what is scheduled."""
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> "list[Scheduled]":
        return await amends.schedules.list()

    found = with_amends(work)
    if as_json:
        output.document([document_of(scheduled) for scheduled in found])
        return
    rows = [(each.name, _next(each), each.note) for each in found]
    output.table(("schedule", "next run", "what"), rows, empty="nothing is scheduled")


@schedule.command("pause")
@click.argument("name")
@options.actor
@options.reason
@options.as_json
def pause(name: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    """Let NAME start nothing until it is resumed."""
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> None:
        await amends.schedules.pause(name, actor=options.person(actor), reason=reason)

    with_amends(work)
    _said(name, "paused", as_json)


@schedule.command("resume")
@click.argument("name")
@options.as_json
def resume(name: str, as_json: bool) -> None:
    """Let NAME go on. What was due while it was paused does not run."""
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> None:
        await amends.schedules.resume(name)

    with_amends(work)
    _said(name, "resumed", as_json)


@schedule.command("delete")
@click.argument("name")
@options.as_json
def delete(name: str, as_json: bool) -> None:
    """Take NAME away. A saga that it has started goes on."""
    from starter.cli.client import with_amends

    async def work(amends: "Amends") -> None:
        await amends.schedules.delete(name)

    with_amends(work)
    _said(name, "deleted", as_json)


def document_of(scheduled: "Scheduled") -> dict[str, object]:
    """A schedule as JSON."""
    next_run = scheduled.next_run.isoformat() if scheduled.next_run else None
    return {**asdict(scheduled), "next_run": next_run}


def _next(scheduled: "Scheduled") -> str:
    if scheduled.paused:
        return "paused"
    return scheduled.next_run.isoformat() if scheduled.next_run else "-"


def _said(name: str, what: str, as_json: bool) -> None:
    if as_json:
        output.document({"name": name, "state": what})
    else:
        output.line(f"schedule {name} is {what}")
