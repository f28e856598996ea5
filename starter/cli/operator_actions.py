"""`amends retry`, `skip`, `resolve`: the operator actions on a step that waits."""

from typing import TYPE_CHECKING, Any

import click

from starter.cli import options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starter.client.client import Amends
    from workflows.contract.progress import Progress


def _operator_action(command: options.Command) -> options.Command:
    """Add the arguments and options of all three: the saga, its step, and who decides."""
    decided = options.actor(options.as_json(command))
    return click.argument("saga", metavar="ID")(click.argument("step", metavar="STEP")(decided))


@click.command()
@_operator_action
@options.reason
def retry(**said: Any) -> int:
    """Retry the STEP of the saga ID, or its undo.

    `amends waiting` lists the steps that wait for an operator.
    """
    return _mend("retry", **said)


@click.command()
@_operator_action
@click.option(
    "--reason", required=True, metavar="TEXT", help="The reason, which stays in the ledger."
)
def skip(**said: Any) -> int:
    """Give up the undo of the STEP of the saga ID.

    What is left stays as it is, and the result names it as a residual: money that moved stays
    spent.
    """
    return _mend("skip", **said)


@click.command()
@_operator_action
@click.option(
    "--evidence",
    required=True,
    metavar="TEXT",
    help="The proof of the outcome: a reference of the bank, a ticket.",
)
@click.option(
    "--outcome",
    type=click.Choice(["done", "failed", "undone"]),
    help="The outcome of the step (default: undone, of an undo).",
)
@options.reason
def resolve(**said: Any) -> int:
    """Resolve the outcome of the STEP of the saga ID.

    For a step whose outcome is in doubt. Of a transfer that is done, the evidence is the reference
    of the bank.
    """
    return _mend("resolve", **said)


def _mend(
    verb: str, saga: str, step: str, actor: str | None, as_json: bool, **said: str | None
) -> int:
    from starter.cli.client import with_amends
    from starter.cli.story import say

    async def work(amends: "Amends") -> "Progress":
        verbs: dict[str, Callable[..., Awaitable[Progress]]]
        verbs = {"retry": amends.retry, "skip": amends.skip, "resolve": amends.resolve}
        found = await amends.find(saga)
        return await verbs[verb](found, step, actor=options.person(actor), **said)

    progress = with_amends(work)
    say(progress, as_json=as_json)
    # The action is done, however the saga ends; another step may still wait for an operator.
    return 4 if progress.needs_person else 0
