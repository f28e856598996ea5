"""`amends sweep`: looks for orphaned sagas now."""

from typing import TYPE_CHECKING

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from starter.client.client import Amends
    from workflows.contract.sweep import Swept


@click.command()
@click.option(
    "--all", "everything", is_flag=True, help="Go on although many sagas look orphaned at once."
)
@click.option(
    "--gone",
    multiple=True,
    metavar="ID",
    help="The id of a namespace that will never come back; repeatable.",
)
@options.actor
@options.reason
@options.as_json
def sweep(
    everything: bool, gone: tuple[str, ...], actor: str | None, reason: str | None, as_json: bool
) -> int:
    """Find orphaned sagas, and compensate or complete them.

    Orphaned sagas are open in the ledger and closed in Temporal: the sweep compensates them or,
    past their pivot, completes them. A saga orphaned in the last minutes is left alone for now.
    Exit status 4 when the sweep stopped for an operator."""
    from starter.cli.client import with_amends
    from starter.client.errors import InvalidInput

    if (everything or gone) and not reason:
        raise InvalidInput("--reason", "is missing: --all and --gone are an operator's decision")

    async def work(amends: "Amends") -> "Swept":
        return await amends.sweep(
            actor=options.person(actor), reason=reason, all=everything, gone=gone
        )

    swept = with_amends(work)
    if as_json:
        output.document(swept.model_dump(mode="json"))
    else:
        output.line(swept.head)
        for saga_id in swept.recovering:
            output.line(f"{saga_id} is being recovered: amends saga {saga_id}")
        for saga_id, until in swept.left_until.items():
            then = "the first sweep after that recovers it"
            output.line(f"{saga_id} is left alone until {output.moment(until)}: {then}")
        for sentence in (*swept.stopped, *swept.alerts):
            output.line(sentence)
    return 4 if swept.alerts else 0
