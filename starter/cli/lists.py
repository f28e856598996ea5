"""`amends payments`, `amends resources`: the rows of the state tables now."""

from typing import TYPE_CHECKING

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from ledger.database import Database
    from ledger.read.queries import Listed

_LIMIT = click.IntRange(min=1, max=100_000)
# Of an authorization, which a payment has one of: tests/test_kinds.py compares them with the model.
PHASES = (
    "pending_approval",
    "approved",
    "denied",
    "rejected",
    "expired",
    "voided",
    "capturing",
    "captured",
    "compensated",
)


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
@options.utc
@options.as_json
def payments(
    agent_id: str | None,
    state: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the newest payments, the newest first."""
    from datetime import UTC, datetime

    from ledger.aggregates.amounts import amount_text
    from ledger.read.queries import PaymentQuery
    from ledger.read.queries import payments as newest
    from starter.cli.client import with_ledger
    from starter.cli.filters import known, known_agent
    from starter.cli.moments import parse_past

    known("--state", state, PHASES)
    now = datetime.now(UTC)
    query = PaymentQuery(
        agent_id=agent_id,
        state=state,
        since=parse_past(since, now=now, field="--from") if since else None,
        until=parse_past(until, now=now, field="--to") if until else None,
    )

    async def work(database: "Database") -> "Listed":
        found = await newest(database, query, limit=limit)
        if not found.rows:
            await known_agent(database, "--agent", agent_id)
        return found

    found = with_ledger(work)
    if as_json:
        output.document(found.rows)
    else:
        rows = [
            (
                *(payment["saga_id"], payment["agent_id"]),
                amount_text(payment["amount_minor"], payment["currency"]),
                *(payment["state"], payment["reason"], output.moment(payment["requested_at"])),
            )
            for payment in found.rows
        ]
        headers = ("saga", "agent", "amount", "state", "reason", "asked")
        output.table(headers, rows, droppable=("asked", "reason"), empty="no such payment")
    if found.more:
        output.more(limit, as_json=as_json)


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
    from starter.cli.filters import known_environment, known_kind

    async def work(database: "Database") -> "Listed":
        found = await present_resources(database, environment or "dev", kind=kind, limit=limit)
        if not found.rows:
            await known_environment(database, environment)
            await known_kind(database, kind)
        return found

    found = with_ledger(work)
    if as_json:
        output.document(found.rows)
    else:
        rows = [
            (resource["kind"], resource["name"], resource["changed_by"], resource["claimed_by"])
            for resource in found.rows
        ]
        headers = ("kind", "name", "changed by", "being changed by")
        what = f"{environment or 'dev'} holds nothing" + (f" of kind {kind}" if kind else "")
        output.table(headers, rows, empty=what)
    if found.more:
        output.more(limit, as_json=as_json)
