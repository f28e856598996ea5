"""`amends show`, `diff`, `blame`: the state of an aggregate, now and then, and who changed it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output
from starter.client.errors import InvalidInput

if TYPE_CHECKING:
    from ledger.database import Database
    from ledger.read.diff_and_blame import Blame, Diff
    from ledger.read.points import Point
    from ledger.read.show import Shown


@click.command()
@click.argument("aggregate", metavar="ID")
@click.option("--at", metavar="POINT", help="The state at this time or position.")
@options.timeout
@options.utc
@options.as_json
def show(aggregate: str, at: str | None, timeout_s: float, as_json: bool) -> None:
    """Show the state of ID, folded from its events.

    A closed past is shown at once, and is shown the same for ever. The command waits for a past
    that is not closed.
    """
    from starter.cli.client import with_ledger

    point = _point("--at", at) if at is not None else None

    async def work(database: "Database") -> "Shown":
        from ledger.read.show import show
        from starter.client.reading import meant_by

        found = await meant_by(database, aggregate)
        return await show(database, found, point, patience_s=timeout_s, explain=_explain)

    shown = with_ledger(work, timeout_s=timeout_s)
    if as_json:
        output.document(vars(shown))
        return
    at = output.moment(shown.head_at, "microseconds")
    output.line(f"{shown.aggregate}, version {shown.version}, {at}")
    for name, value in shown.state.items():
        output.line(f"  {name}: {_value(value)}")


@click.command()
@click.argument("aggregate", metavar="ID")
@click.argument("before", metavar="T1")
@click.argument("after", metavar="T2")
@options.timeout
@options.utc
@options.as_json
def diff(aggregate: str, before: str, after: str, timeout_s: float, as_json: bool) -> None:
    """Show how the state of ID differs between T1 and T2.

    T1 and T2 are times or positions. The events between them are listed too.
    """
    from starter.cli.client import with_ledger

    points = _point("T1", before), _point("T2", after)

    async def work(database: "Database") -> "Diff":
        from ledger.read.diff_and_blame import diff
        from starter.client.reading import meant_by

        found = await meant_by(database, aggregate)
        return await diff(database, found, *points, patience_s=timeout_s, explain=_explain)

    found = with_ledger(work, timeout_s=timeout_s)
    if as_json:
        output.document(asdict(found))
    else:
        _tell_diff(found)


def _tell_diff(found: "Diff") -> None:
    version = found.before.version if found.before else 0
    output.line(f"{found.aggregate}, version {version} -> {found.after.version}")
    for each in found.fields:
        old = "(none)" if each.change == "added" else _value(each.old)
        new = "(none)" if each.change == "removed" else _value(each.new)
        output.line(f"  {each.field}: {old} -> {new}")
    rows = [
        (event.position, output.moment(event.timestamp), event.event_type, event.user_id)
        for event in found.events
    ]
    output.table(("position", "time", "event", "who"), rows, empty="no event between them")


@click.command()
@click.argument("aggregate", metavar="ID")
@click.argument("field", required=False)
@options.utc
@options.as_json
def blame(aggregate: str, field: str | None, as_json: bool) -> None:
    """Show who last changed each field of ID.

    With FIELD, only that field and the fields below it. A field below another has a dotted name:
    spec.owner.
    """
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> "list[Blame]":
        from ledger.read.diff_and_blame import blame
        from starter.client.reading import meant_by

        return await blame(database, await meant_by(database, aggregate), field)

    found = with_ledger(work)
    if as_json:
        output.document([vars(each) for each in found])
        return
    rows = [
        (
            each.field,
            "(removed)" if each.removed else _value(each.value),
            each.position,
            output.moment(each.timestamp),
            each.event_type,
            each.user_id,
            each.saga_id,
            each.reason,
        )
        for each in found
    ]
    headers = ("field", "value", "position", "time", "event", "who", "saga", "why")
    droppable = ("position", "time", "why", "saga", "event")
    output.table(headers, rows, empty="no field", droppable=droppable)


def _point(field: str, text: str) -> "Point":
    from ledger.read.points import Point

    try:
        return Point.parse(text)
    except ValueError as error:
        raise InvalidInput(field, str(error)) from None


def _explain(why: str) -> None:
    output.aside(f"amends: waiting: {why}")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
