"""`amends pay` and `amends refund`, and the decisions of people: `approve`, `reject`, `capture`,
`void`, `cancel`."""

import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output
from starter.cli.waiting import fact_lines

if TYPE_CHECKING:
    from ledger.database import Database
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

    given = read_json(file)
    # Under an id of its own it may have been submitted before.
    repeated = not later and (operation_id is not None or "operation_id" in given)
    fields = with_operation_id(given, operation_id)
    said = {"submitted_by": actor and options.person(actor), "reason": reason}
    said = {name: text for name, text in said.items() if text}
    if said and isinstance(fields.get("metadata", {}), dict):
        fields["metadata"] = {**fields.get("metadata", {}), **said}
    request = checked(PaymentRequest, fields, repeated=repeated)
    if later:
        from starter.cli.schedules import submit_later

        return submit_later(request, later, as_json)
    return submit(request, fields, as_json=as_json, **following)


def with_operation_id(fields: dict[str, Any], operation_id: str | None) -> dict[str, Any]:
    """Fill in the operation id: that of the command line, of the fields, or a new one."""
    if operation_id is not None:
        return {**fields, "operation_id": operation_id}
    return {"operation_id": options.new_operation_id(), **fields}


def _deciding(command: options.Command) -> options.Command:
    """Add the argument and options of every decision: the saga, who decides, and why."""
    decided = options.actor(options.reason(options.as_json(command)))
    return click.argument("saga", metavar="ID")(decided)


_yes = click.option(
    "--yes", is_flag=True, help="Don't ask for a confirmation; what is decided on is shown anyway."
)


def _amount(help_text: str) -> Callable[[options.Command], options.Command]:
    """Add the option that names an amount."""
    return click.option(
        "--amount-minor", type=click.IntRange(min=1), metavar="N", help=f"{help_text}: minor units."
    )


@click.command()
@_deciding
@_amount("Approve this amount only, and release the rest")
@_yes
def approve(
    saga: str,
    actor: str | None,
    reason: str | None,
    amount_minor: int | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Approve the waiting payment ID, or a smaller amount.

    Shows amount, payee, description and agent first, from the ledger, and on a terminal asks for a
    confirmation.
    """
    more = {} if amount_minor is None else {"amount_minor": amount_minor}
    return _decide_seeing("approve", saga, actor, reason, yes, as_json, **more)


@click.command()
@_deciding
@_yes
def reject(saga: str, actor: str | None, reason: str | None, yes: bool, as_json: bool) -> int:
    """Reject the payment ID that waits for a person.

    Shows amount, payee, description and agent first, from the ledger, and on a terminal asks for a
    confirmation.
    """
    return _decide_seeing("reject", saga, actor, reason, yes, as_json)


@click.command()
@_deciding
@_amount("Capture a part")
@click.option("--final", is_flag=True, help="Release what is left after this part.")
@click.option(
    "--update-id",
    metavar="ID",
    help="The name of this capture: repeated under the same, it is captured once.",
)
@_yes
def capture(
    saga: str, actor: str | None, reason: str | None, yes: bool, as_json: bool, **part: Any
) -> int:
    """Capture the approved payment ID, or a part of it.

    Its agent captures, or a user: a payment requested with `"capture": "manual"` waits for it.
    Without --amount-minor all that is left is captured. Shows amount, payee, description and agent
    first, from the ledger, and on a terminal asks for a confirmation.
    """
    given = {name: value for name, value in part.items() if value}
    return _decide_seeing("capture", saga, actor, reason, yes, as_json, **given)


@click.command()
@_deciding
@_yes
def void(saga: str, actor: str | None, reason: str | None, yes: bool, as_json: bool) -> int:
    """Void what is not captured of the payment ID.

    Its agent voids, or a user. With nothing captured the payment is cancelled. What was captured
    stays, and the rest is released.
    """
    return _decide_seeing("void", saga, actor, reason, yes, as_json)


@click.command()
@click.argument("payment", metavar="ID")
@click.option(
    "--amount",
    type=click.IntRange(min=1),
    metavar="MINOR",
    help="So many minor units, such as cents (default: all that is left); needs --currency.",
)
@click.option("--currency", metavar="CODE", help="The currency of --amount, such as ARS.")
@click.option(
    "--reason", required=True, metavar="TEXT", help="The reason, which stays in the ledger."
)
@options.operation_id
@options.actor
@options.following
@options.as_json
def refund(
    payment: str,
    amount: int | None,
    currency: str | None,
    reason: str,
    operation_id: str | None,
    actor: str | None,
    as_json: bool,
    **following: bool,
) -> int:
    """Refund the captured payment ID, or a part of it.

    A person asks, and several refunds are never above what was captured.
    """
    from starter.cli.story import submit
    from starter.client.errors import BadRequest
    from starter.client.validation import checked
    from workflows.contract.refund import RefundRequest

    if (amount is None) != (currency is None):
        raise BadRequest("--amount is in minor units of --currency: give both, or none of them")
    fields: dict[str, Any] = {
        "operation_id": operation_id or options.new_operation_id(),
        "payment": payment.removeprefix("saga/"),
        "reason": reason,
        "actor": options.person(actor),
    }
    if amount is not None:
        fields["amount"] = {"minor": amount, "currency": currency}
    request = checked(RefundRequest, fields, repeated=operation_id is not None)
    return submit(request, fields, as_json=as_json, **following)


@click.command()
@_deciding
def cancel(saga: str, actor: str | None, reason: str | None, as_json: bool) -> int:
    """Cancel the saga ID, of any kind, and compensate it.

    A transfer that the bank can't take back is compensated only where it was not executed.
    """
    from starter.cli.story import say

    progress = _decided("cancel", saga, actor, reason)
    say(progress, as_json=as_json)
    return 1 if progress.state == "completed" else _unless_stuck(progress)


_ENDING = ("reject", "void", "cancel")
_WAITS = 4


def _decide_seeing(
    verb: str,
    saga: str,
    actor: str | None,
    reason: str | None,
    yes: bool,
    as_json: bool,
    **more: Any,
) -> int:
    """Decide on a payment that is shown on the same screen: nobody decides on an id alone."""
    from starter.cli.story import document_of, say

    facts = _facts(verb, saga)
    if not as_json:
        for line in fact_lines(facts):
            output.line(line)
        if not yes and sys.stdin.isatty() and output.on_terminal():
            who = options.person(actor)
            minor = more.get("amount_minor")
            what = "this payment" if minor is None else f"{minor} minor units of this payment"
            if not click.confirm(f"{verb} {what} as {who}?"):
                output.line("nothing was decided")
                return _WAITS
    if "binding" in facts:
        more["binding"] = facts["binding"]
    progress = _decided(verb, saga, actor, reason, **more)
    if as_json:
        output.document({**document_of(progress), "payment": facts})
    elif verb == "approve" and progress.waits_for == "approval":
        found = progress.saga_id
        output.line(
            f"{found}: {options.person(actor)} has approved, and another person has to: "
            f"amends approve {found}, or amends reject {found}"
        )
    else:
        say(progress, as_json=False, agent=facts.get("agent"))
    return _unless_stuck(progress) if verb in _ENDING else _as_decided(verb, progress)


def _facts(verb: str, text: str) -> dict[str, str]:
    """The facts of a payment, from the ledger. Raises Unreachable where it can't be read,
    NotAllowed for a saga of another kind."""
    from starter.cli.client import with_ledger
    from starter.client.errors import NotKnown, Unreachable

    async def work(database: "Database") -> dict[str, str]:
        from ledger.errors import NotFound
        from ledger.read.sagas import amounts_of, binding_of, sagas_named
        from starter.client.reading import meant_by
        from starter.client.subject import amount_facts, facts_of
        from starter.client.wrong_kind import require_payment

        found = _payment(text)
        require_payment(verb, found)
        recorded = (await sagas_named(database, [found])).get(found)
        if recorded is None:
            if "/" not in text:
                require_payment(verb, (await meant_by(database, text)).removeprefix("saga/"))
            raise NotFound(f"no saga named {found!r} in the ledger")
        amounts = await amounts_of(database, [found])
        facts = facts_of(recorded["kind"], recorded["input"])
        facts |= amount_facts(amounts.get(found))
        binding = await binding_of(database, found) if verb == "approve" else None
        return {**facts, "binding": binding} if binding else facts

    try:
        return with_ledger(work)
    except NotKnown:
        _raise_if_delayed(_payment(text))
        raise
    except Unreachable as error:
        raise Unreachable(
            f"amount, payee and description of {_payment(text)} can't be shown, so nothing was "
            f"decided: {error}"
        ) from None


def _raise_if_delayed(saga_id: str) -> None:
    """Raises NotBegun for a saga in its start delay, which is not in the ledger yet. An update
    would end the delay, so none is sent."""
    from starter.cli.client import with_amends
    from starter.client.errors import AmendsError, NotBegun

    try:
        with_amends(lambda amends: amends.progress(saga_id))
    except NotBegun:
        raise
    except AmendsError:
        return


def _payment(saga: str) -> str:
    # Only payments are approved, rejected and captured; any saga is cancelled.
    from starter.client.standing import as_scheduled

    return saga if "/" in saga else f"payment/{as_scheduled(saga)}"


def _decided(
    verb: str, saga: str, actor: str | None, reason: str | None, **more: Any
) -> "Progress":
    from starter.cli.client import with_amends
    from starter.client.errors import NotKnown
    from starter.client.wrong_kind import require_payment

    async def work(amends: "Amends") -> "Progress":
        decide: Any = {
            "approve": amends.approve,
            "reject": amends.reject,
            "capture": amends.capture,
            "void": amends.void,
            "cancel": amends.cancel,
        }[verb]
        found = await amends.find(saga) if verb == "cancel" else _payment(saga)
        try:
            progress: Progress = await decide(
                found, actor=options.person(actor), reason=reason, **more
            )
        except NotKnown:
            if "/" in saga:
                raise
            # The operation id of a change, of a policy, ...
            require_payment(verb, await amends.find(saga))
            raise
        is_undone = verb in _ENDING or progress.state == "compensating"
        if is_undone and progress.result is None:
            # The undo has begun; what the person asked for is there when it has ended.
            return await _undone(amends, progress)
        return progress

    return with_amends(work)


async def _undone(amends: "Amends", begun: "Progress") -> "Progress":
    """Follow an undo until it ended, or until it has no success and is tried again."""
    from starter.client.errors import SagaFailed

    now = begun
    try:
        async with aclosing(amends.follow(begun.saga_id)) as followed:
            async for now in followed:
                # In doubt: the outcome decides, and may take its time.
                if now.state in ("compensating", "resolving") and now.waits_for:
                    break
    except SagaFailed as error:
        # Nothing was held yet, as in a start delay: that is what a cancel asks for.
        if error.failure_type != "cancelled":
            raise
        return await amends.progress(begun.saga_id)
    return now


def _as_decided(verb: str, progress: "Progress") -> int:
    """The exit status of an approval or a capture: that of the saga, once it has ended; before, 4
    unless it goes on as was decided."""
    from starter.cli.story import status_of

    if progress.result is not None:
        return status_of(progress)
    goes_on = ("running", "resolving") if verb == "approve" else ("running",)
    if verb == "approve" and progress.waits_for == "approval":
        # Another person has to approve as well.
        return _WAITS
    return 0 if progress.state in goes_on else _WAITS


def _unless_stuck(progress: "Progress") -> int:
    """The exit status of a decision: 4 only where an operator has to look first."""
    return 0 if progress.result is not None else 4
