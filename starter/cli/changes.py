"""`amends plan`, `apply`, `rollback`: the changes of an environment."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output
from starter.client.advice import advice_on
from starter.client.errors import AmendsError, BadRequest, Unreachable

if TYPE_CHECKING:
    from ledger.database import Database
    from workflows.contract.change import ChangeRequest, RollbackRequest
    from workflows.contract.progress import Progress
    from workflows.planning.plan import Operation, Plan
    from workflows.planning.validation import ValidChange


@click.command()
@click.argument("file")
@options.environment
@options.force
@options.allow_irreversible
@options.as_json
def plan(file: str, as_json: bool, **asked: Any) -> int:
    """Show what the change in FILE would do.

    FILE is YAML; - reads stdin. Nothing is written.

    Exit status 1 if the change would be refused.
    """
    change = _change(file, asked)
    return _show_plan(_plan_of(change), change.request.allow_irreversible, as_json)


def _plan_of(change: "ValidChange") -> "Plan":
    """The plan of a change, against the ledger as it is now."""
    from ledger.read.environments import resources
    from starter.cli.client import with_ledger
    from workflows.planning.planner import plan as planned

    async def work(database: "Database") -> "Plan":
        known = await resources(database, change.request.environment, change.names)
        return planned(change, known)

    return with_ledger(work)


@click.command()
@click.argument("file")
@options.environment
@options.force
@options.allow_irreversible
@options.operation_id
@options.actor
@options.reason
@options.later
@options.following
@options.as_json
def apply(
    file: str,
    later: options.Later,
    detach: bool,
    wait: bool,
    as_json: bool,
    **asked: Any,
) -> int:
    """Make the change in FILE, and follow it.

    FILE is YAML; - reads stdin. Each apply is a new operation, unless the file or --operation-id
    names one. With --at or --cron a schedule applies it; its name is the operation id.
    """
    from starter.cli.planning import valid_change
    from starter.client.validation import checked
    from workflows.contract.change import ChangeRequest

    fields = _fields(file, asked)
    # Under an id of its own it may have been submitted before.
    repeated = "operation_id" in fields and not later
    written = {**_new(), **fields}
    request = checked(ChangeRequest, written, repeated=repeated)
    if not repeated:
        valid_change(request)
    if later:
        from starter.cli.schedules import submit_later

        return submit_later(request, later, as_json)
    try:
        return _carry_out(
            request,
            written,
            lambda: _plan_of(valid_change(request)),
            as_json=as_json,
            detach=detach,
            wait=wait,
        )
    except Unreachable:
        valid_change(request)
        raise


def _change(file: str, asked: dict[str, Any]) -> "ValidChange":
    """The change in a file; the options of the command line override its fields."""
    from starter.cli.planning import valid_change
    from starter.client.validation import checked
    from workflows.contract.change import ChangeRequest

    return valid_change(checked(ChangeRequest, {**_new(), **_fields(file, asked)}))


def _fields(file: str, asked: dict[str, Any]) -> dict[str, Any]:
    from starter.cli.documents import read_yaml

    return {**read_yaml(file), **_said(asked)}


def _new() -> dict[str, Any]:
    return {"operation_id": options.new_operation_id(), "actor": options.person(None)}


def _said(asked: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as fields of a request."""
    given = {name: value for name, value in asked.items() if value}
    if "actor" in given:
        given["actor"] = options.person(given["actor"])
    return given


@click.command()
@click.option(
    "--to", required=True, metavar="POINT", help="The point: before:CHANGE, a time or a position."
)
@click.option(
    "--resource", "resources", multiple=True, metavar="NAME", help="Only this resource; repeatable."
)
@click.option(
    "--plan", "plan_only", is_flag=True, help="Show the plan of the rollback, and do nothing."
)
@options.later
@options.environment
@options.force
@options.allow_irreversible
@options.operation_id
@options.actor
@options.reason
@options.following
@options.as_json
def rollback(
    resources: tuple[str, ...],
    plan_only: bool,
    later: options.Later,
    operation_id: str | None,
    detach: bool,
    wait: bool,
    as_json: bool,
    **asked: Any,
) -> int:
    """Roll resources back to an earlier state.

    A rollback is a change of its own. With --at or --cron a schedule runs it, whether or not you
    are there; the name of the schedule is the operation id.
    """
    from starter.cli.planning import check_rollback
    from starter.cli.schedules import submit_later
    from starter.client.validation import checked
    from workflows.contract.change import RollbackRequest

    if plan_only and later:
        raise BadRequest("--plan shows what a rollback would do now: leave out --at and --cron")
    fields = {"actor": options.person(None), **_said(asked)}
    if resources:
        fields["resources"] = list(resources)
    # Under an id of its own it may have been submitted before.
    repeated = operation_id is not None and not later and not plan_only
    written = {"operation_id": operation_id or options.new_operation_id(), **fields}
    request = checked(RollbackRequest, written, repeated=repeated)
    check_rollback(request)
    if later or request.to.isdigit():
        _check_point(request)
    if later:
        return submit_later(request, later, as_json)
    if plan_only:
        return _show_plan(_plan_of_rollback(request), request.allow_irreversible, as_json)
    return _carry_out(
        request,
        written,
        lambda: _plan_of_rollback(request),
        as_json=as_json,
        detach=detach,
        wait=wait,
    )


def _check_point(request: "RollbackRequest") -> None:
    from starter.cli.client import with_ledger_if_any
    from starter.cli.planning import check_point

    async def work(database: "Database") -> None:
        await check_point(database, request)

    with_ledger_if_any(work)


def _plan_of_rollback(request: "RollbackRequest") -> "Plan":
    from starter.cli.client import with_ledger
    from starter.cli.planning import rollback_plan

    async def work(database: "Database") -> "Plan":
        return await rollback_plan(database, request)

    return with_ledger(work)


def _carry_out(
    request: "ChangeRequest | RollbackRequest",
    written: "Mapping[str, Any]",
    plan_now: "Callable[[], Plan]",
    *,
    as_json: bool,
    detach: bool,
    wait: bool,
) -> int:
    """Submit and follow; where nothing was done now, say so first, with the state as it is now."""
    from starter.cli.story import carried, document_of, say, status_of

    progress = carried(request, written, as_json=as_json, detach=detach, wait=wait)
    if progress.result is None or not progress.did_nothing:
        say(progress, as_json=as_json)
        return status_of(progress)
    now = _plan_if_any(plan_now) if progress.repeated else None
    if as_json:
        more = {"now": now and now.model_dump(mode="json")} if progress.repeated else {}
        output.document({"done_now": False, **document_of(progress), **more})
    else:
        _say_nothing_done(request, progress, now)
    if progress.repeated:
        return 0 if now and now.is_done else 1
    return status_of(progress)


def _plan_if_any(plan_now: "Callable[[], Plan]") -> "Plan | None":
    """The plan as of now; None where the ledger can't be read, or no longer knows the point."""
    with suppress(AmendsError):
        return plan_now()
    return None


def _say_nothing_done(
    request: "ChangeRequest | RollbackRequest", progress: "Progress", now: "Plan | None"
) -> None:
    from starter.client.wording import NOTHING_DONE, notes, standing

    place, asked = request.environment, "as the file says"
    if to := getattr(request, "to", None):
        asked = f"as at {to}"
    if not progress.repeated:
        output.line(f"{NOTHING_DONE}: {place} is {asked}")
        for note in notes(progress):
            output.line(f"note: {note}")
        output.line(standing(progress))
        return
    state = (progress.result or {}).get("state")
    ended = "changed nothing" if state == "unchanged" else f"was {state}"
    before = f"{NOTHING_DONE}: {progress.saga_id} {ended} before"
    if now is None:
        output.line(f"{before}, and the ledger does not tell whether {place} is {asked}")
        output.line("set AMENDS_AUDIT_URL, or look with amends plan and amends rollback --plan")
        return
    output.line(f"{before}, and {place} is {'' if now.is_done else 'not '}{asked}")
    if not now.is_done:
        _show_plan(now, request.allow_irreversible, as_json=False)
        what = "roll back" if to else "apply the file"
        output.line(f"to do so, {what} under another operation id, or under none")


def _show_plan(plan: "Plan", allow_irreversible: bool, as_json: bool) -> int:
    if as_json:
        output.document(plan.model_dump(mode="json"))
        return 1 if plan.refusals else 0
    rows = [(each.action, each.name, each.kind, _difference(each)) for each in plan.operations]
    output.table(("action", "resource", "kind", "what"), rows, empty="nothing to do")
    for note in plan.notes:
        output.line(f"note: {note}")
    for loss in plan.losses:
        needed = "" if allow_irreversible else "; a database with tables needs --allow-irreversible"
        output.line(f"irreversible: {loss}{needed}")
    for refusal in plan.refusals:
        advice = advice_on(refusal.reason)
        output.line(f"refused: {refusal.sentence}" + (f": {advice}" if advice else ""))
    return 1 if plan.refusals else 0


def _difference(operation: "Operation") -> str:
    """The fields of the spec that change: `login=true`, and of an update `login=true -> false`."""
    before = operation.before.spec if operation.before else {}
    after = operation.after.spec if operation.after else {}
    return ", ".join(
        f"{name}={_yaml(before[name])} -> {_yaml(after[name])}"
        if name in before
        else f"{name}={_yaml(after[name])}"
        for name in after
        if name not in before or after[name] != before[name]
    )


def _yaml(value: Any) -> str:
    """A value as the file has it: text as it is, other values as JSON, which YAML reads too."""
    return value if isinstance(value, str) else json.dumps(value)
