"""`amends pay`, and the decisions of people: `approve`, `reject`, `capture`, `cancel`."""

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options

if TYPE_CHECKING:
    from starter.client.client import Amends
    from workflows.contract.progress import Progress


@click.command()
@click.argument("file")
@options.operation_id
@options.actor
@options.reason
@options.later
@options.following
@options.as_json
def pay(
    file: str,
    operation_id: str | None,
    actor: str | None,
    reason: str | None,
    later: options.Later,
    as_json: bool,
    **following: bool,
) -> int:
    """Submit the payment in FILE, and follow it.

    FILE is JSON; - reads stdin. With --at or --cron a schedule pays; its name is the operation id.

    The agent that FILE names asks; --as and --reason go to the metadata of its events.
    """
    from starter.cli.documents import read_json
    from starter.cli.story import submit
    from starter.client.validation import checked
    from workflows.contract.payment import PaymentRequest

    fields = with_operation_id(read_json(file), operation_id)
    said = {"submitted_by": actor and options.person(actor), "reason": reason}
    said = {name: text for name, text in said.items() if text}
    if said and isinstance(fields.get("metadata", {}), dict):
        fields["metadata"] = {**fields.get("metadata", {}), **said}
    request = checked(PaymentRequest, fields)
    if later:
        from starter.cli.schedules import submit_later

        return submit_later(request, later, as_json)
    return submit(request, as_json=as_json, **following)


def with_operation_id(fields: dict[str, Any], operation_id: str | None) -> dict[str, Any]:
    """Fill in the operation id: that of the command line, of the fields, or a new one."""
    if operation_id is not None:
        return {**fields, "operation_id": operation_id}
    return {"operation_id": options.new_operation_id(), **fields}


def _deciding(command: options.Command) -> options.Command:
    """Add the argument and options of every decision: the saga, who decides, and why."""
    decided = options.actor(options.reason(options.as_json(command)))
    return click.argument("saga", metavar="ID")(decided)


@click.command()
@_deciding
def approve(saga: str, actor: str | None, reason: str | None, as_json: bool) -> int:
    """Approve the payment ID that waits for a person."""
    return _unless_undone(_decide("approve", saga, actor, reason, as_json))


@click.command()
@_deciding
def reject(saga: str, actor: str | None, reason: str | None, as_json: bool) -> int:
    """Reject the payment ID that waits for a person."""
    return _unless_stuck(_decide("reject", saga, actor, reason, as_json))


@click.command()
@_deciding
def capture(saga: str, actor: str | None, reason: str | None, as_json: bool) -> int:
    """Capture the approved payment ID.

    A payment requested with `"capture": "manual"` waits for this command.
    """
    return _unless_undone(_decide("capture", saga, actor, reason, as_json))


@click.command()
@_deciding
def cancel(saga: str, actor: str | None, reason: str | None, as_json: bool) -> int:
    """Cancel the saga ID, of any kind, and compensate it."""
    return _unless_stuck(_decide("cancel", saga, actor, reason, as_json))


_ENDING = ("reject", "cancel")


def _decide(
    verb: str, saga: str, actor: str | None, reason: str | None, as_json: bool
) -> "Progress":
    from starter.cli.client import with_amends
    from starter.cli.story import say
    from starter.client.standing import as_scheduled

    async def work(amends: "Amends") -> "Progress":
        decide = {
            "approve": amends.approve,
            "reject": amends.reject,
            "capture": amends.capture,
            "cancel": amends.cancel,
        }[verb]
        # Only payments are approved, rejected and captured; any saga is cancelled.
        found = saga if "/" in saga else f"payment/{saga}"
        if verb == "cancel" or ("/" not in saga and as_scheduled(saga) != saga):
            found = await amends.find(saga)
        progress = await decide(found, actor=options.person(actor), reason=reason)
        if verb in _ENDING and progress.result is None:
            # The undo has begun; what the person asked for is there when it has ended.
            return await _undone(amends, progress)
        return progress

    progress = with_amends(work)
    say(progress, as_json=as_json)
    return progress


async def _undone(amends: "Amends", begun: "Progress") -> "Progress":
    """Follow an undo until it ended, or until it has no success and is tried again."""
    now = begun
    async with aclosing(amends.follow(begun.saga_id)) as followed:
        async for now in followed:
            if now.state == "compensating" and now.waits_for:
                break
    return now


def _unless_undone(progress: "Progress") -> int:
    """The exit status of a cancel: 1 only where the saga ended otherwise."""
    from starter.cli.story import status_of

    stuck = progress.state == "needs_attention"
    return status_of(progress) if stuck or progress.result is not None else 0


def _unless_stuck(progress: "Progress") -> int:
    """The exit status of a decision: 4 only where an operator has to look first."""
    return 0 if progress.result is not None else 4
