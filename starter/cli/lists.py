"""`amends payments`, `amends resources`: the rows of the state tables now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output
from starter.client.errors import InvalidInput

if TYPE_CHECKING:
    from ledger.database import Database
    from ledger.read.queries import Listed, PaymentQuery

_LIMIT = click.IntRange(min=1, max=100_000)
# Rows of one question to the database, where all are asked for.
_PAGE = 1_000
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
# The columns of CSV: fields of an authorization, without the nested ones, and what went back.
COLUMNS = (
    *("saga_id", "authorization_id", "agent_id", "amount_minor", "currency", "destination"),
    *("description", "purpose", "state", "reason", "requested_at", "expires_at"),
    *("capture_until", "policy_version", "binding", "attempts", "transfer_id"),
    *("provider_reference", "requested_minor", "captured_minor", "refunded_minor"),
)
Row = dict[str, Any]
Print = Callable[[list[Row]], None]


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
@click.option(
    "--destination",
    metavar="ENDING",
    help="Only payments to this account: its last four characters or more.",
)
@click.option("--mandate", metavar="ID", help="Only payments under this mandate, or one below it.")
@click.option(
    "--after", metavar="ID", help="Go on after this payment: the authorization_id of a row."
)
@click.option("--limit", type=_LIMIT, default=50, show_default=True)
@click.option("--all", "everything", is_flag=True, help="Print all payments; needs --format.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "json"]),
    help="Print CSV, JSON Lines, or one JSON document (--json).",
)
@options.utc
@options.as_json
def payments(
    limit: int, everything: bool, form: str | None, after: str | None, as_json: bool, **filters: Any
) -> None:
    """List the newest payments, the newest first.

    New payments shift no page: --after goes on where a list ended. Of an account number, the last
    four characters are shown.
    """
    from starter.cli.client import with_ledger
    from starter.cli.filters import known_agent, known_mandate

    form = form or ("json" if as_json else None)
    if everything and form is None:
        raise InvalidInput("--all", "needs --format csv, jsonl or json: a table is one page")
    query = _query(**filters)

    async def work(database: "Database") -> "Listed":
        from ledger.read.queries import payments as page

        found = await page(database, query, limit=_PAGE if everything else limit, after=after)
        if not found.rows:
            await known_agent(database, "--agent", query.agent_id)
            await known_mandate(database, query.mandate)
        with _printed(form) as add:
            add(found.rows)
            while everything and found.more:
                last = found.rows[-1]["authorization_id"]
                found = await page(database, query, limit=_PAGE, after=last)
                add(found.rows)
        return found

    found = with_ledger(work)
    if found.more:
        last = found.rows[-1]["authorization_id"]
        output.more(limit, as_json=form is not None, after=last)


def _query(
    state: str | None,
    since: str | None,
    until: str | None,
    destination: str | None,
    agent_id: str | None,
    mandate: str | None,
) -> "PaymentQuery":
    from datetime import UTC, datetime

    from ledger.read.queries import PaymentQuery
    from starter.cli.filters import known
    from starter.cli.moments import parse_past

    known("--state", state, PHASES)
    now = datetime.now(UTC)
    begins = parse_past(since, now=now, field="--from") if since else None
    ends = parse_past(until, now=now, field="--to") if until else None
    try:
        return PaymentQuery(agent_id, state, begins, ends, destination, mandate)
    except ValueError as error:
        raise InvalidInput("--destination", str(error)) from None


@contextmanager
def _printed(form: str | None) -> Iterator[Print]:
    """Prints pages of payments in a form: as they come, or as a table."""
    if form == "json":
        with output.Array() as array:
            yield _each(array.add)
    elif form == "jsonl":
        yield _each(lambda row: click.echo(output.compact(row)))
    elif form == "csv":
        yield _each(output.Csv(COLUMNS).add)
    else:
        yield _table


def _each(add: Callable[[Row], None]) -> Print:
    def add_all(rows: list[Row]) -> None:
        for row in rows:
            add(row)

    return add_all


def _table(found: list[Row]) -> None:
    from ledger.aggregates.amounts import amount_text

    rows = [
        (
            *(payment["saga_id"], payment["agent_id"]),
            amount_text(payment["amount_minor"], payment["currency"]) + _captured(payment),
            *(payment["destination"], payment["state"], payment["reason"]),
            _refunded(payment),
            output.moment(payment["requested_at"]),
        )
        for payment in found
    ]
    headers = ("saga", "agent", "amount", "to", "state", "reason", "refunded", "asked")
    droppable = ("asked", "reason", "refunded", "to")
    output.table(headers, rows, droppable=droppable, empty="no such payment")


def _refunded(payment: Row) -> str:
    from ledger.aggregates.amounts import amount_text

    minor = payment["refunded_minor"]
    return amount_text(minor, payment["currency"]) if minor else ""


def _captured(payment: Row) -> str:
    """How much was captured, where that is a part."""
    from ledger.aggregates.amounts import amount_text

    minor, currency = payment["captured_minor"], payment["currency"]
    is_part = bool(minor) and minor < payment["amount_minor"]
    return f" ({amount_text(minor, currency)} captured)" if is_part else ""


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
