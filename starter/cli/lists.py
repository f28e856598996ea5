"""`amends payments`, `amends resources`: the rows of the state tables now."""

from typing import TYPE_CHECKING, get_args

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from ledger.aggregates.authorization import AuthorizationState
    from ledger.aggregates.resource import ResourceState
    from ledger.database import Database

_LIMIT = click.IntRange(min=1, max=100_000)


@click.command()
@click.option("--agent", "agent_id", metavar="NAME", help="Only payments of this agent.")
@click.option("--state", metavar="STATE", help="Only payments in this state: captured, denied, ...")
@click.option(
    "--from",
    "since",
    metavar="TIME",
    help="Only from this time on: ISO 8601, or PT1H: an hour ago.",
)
@click.option("--to", "until", metavar="TIME", help="Only payments requested before this time.")
@click.option("--limit", type=_LIMIT, default=50, show_default=True)
@options.as_json
def payments(
    agent_id: str | None,
    state: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the newest payments."""
    from datetime import UTC, datetime

    from ledger.aggregates.authorization import AuthorizationPhase
    from ledger.read.queries import PaymentQuery
    from ledger.read.queries import payments as newest
    from starter.cli.client import with_ledger
    from starter.cli.moments import parse_past
    from starter.client.errors import InvalidInput

    phases = get_args(AuthorizationPhase)
    if state is not None and state not in phases:
        raise InvalidInput("--state", f"one of {', '.join(phases)} is needed")
    now = datetime.now(UTC)
    query = PaymentQuery.model_validate(
        {
            "agent_id": agent_id,
            "state": state,
            "since": parse_past(since, now=now, field="--from") if since else None,
            "until": parse_past(until, now=now, field="--to") if until else None,
        }
    )

    async def work(database: "Database") -> "list[AuthorizationState]":
        return await newest(database, query, limit=limit)

    found = with_ledger(work)
    if as_json:
        output.document([payment.model_dump(mode="json") for payment in found])
        return
    rows = [
        (
            payment.saga_id,
            payment.agent_id,
            f"{payment.amount_minor} {payment.currency}",
            payment.state,
            payment.reason,
            f"{payment.requested_at:%Y-%m-%d %H:%M:%S}",
        )
        for payment in found
    ]
    headers = ("saga", "agent", "minor", "state", "reason", "asked")
    output.table(headers, rows, droppable=("asked", "reason"), empty="no such payment")


@click.command()
@options.environment
@click.option(
    "--kind", metavar="KIND", help="Only resources of this kind, such as postgres.database."
)
@click.option("--limit", type=_LIMIT, default=1000, show_default=True)
@options.as_json
def resources(environment: str | None, kind: str | None, limit: int, as_json: bool) -> None:
    """List the resources of an environment, by kind and name."""
    from ledger.read.queries import present_resources
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> "list[ResourceState]":
        return await present_resources(database, environment or "dev", kind=kind, limit=limit)

    found = with_ledger(work)
    if as_json:
        output.document([resource.model_dump(mode="json") for resource in found])
        return
    rows = [
        (resource.kind, resource.name, resource.changed_by, resource.claimed_by)
        for resource in found
    ]
    headers = ("kind", "name", "changed by", "being changed by")
    output.table(headers, rows, empty=f"{environment or 'dev'} holds nothing")
