"""`amends mandate`: grant and delegate budgets of agents, revoke them, list them."""

from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from ledger.database import Database


@click.group()
def mandate() -> None:
    """Grant, delegate, revoke and list the budgets of agents."""


@mandate.command("grant")
@click.argument("name")
@click.option("--agent", "agent_id", metavar="AGENT", help="The agent that pays under it.")
@click.option("--parent", metavar="NAME", help="The mandate of which it delegates a part.")
@click.option("--currency", metavar="ISO4217", help="Its currency (default: as the parent).")
@click.option("--amount", "amount_minor", type=int, metavar="N", help="Minor units in all.")
@click.option("--count", type=int, metavar="N", help="Payments in all.")
@click.option(
    "--destination",
    "destinations",
    multiple=True,
    metavar="ACCOUNT",
    help="An account it pays to; repeatable.",
)
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    metavar="PURPOSE",
    help="A purpose it pays for; repeatable.",
)
@click.option("--from", "valid_from", metavar="TIME", help="When it becomes valid (default: now).")
@click.option("--until", "valid_until", metavar="TIME", help="When it ends to be valid.")
@options.actor
@options.reason
@options.operation_id
@options.as_json
def grant(name: str, as_json: bool, **asked: Any) -> int:
    """Grant the mandate NAME to an agent, or delegate a part of another one.

    Equal to a limit is allowed, and no limit is none. What a delegation leaves out is as in its
    parent, and nothing may be wider. An agent delegates with --as agent:NAME.
    """
    lists = {field: list(asked.pop(field)) or None for field in ("destinations", "purposes")}
    return _change(as_json, {**asked, **lists}, action="grant", mandate=name)


@mandate.command("revoke")
@click.argument("name")
@options.actor
@options.reason
@options.operation_id
@options.as_json
def revoke(name: str, as_json: bool, **asked: Any) -> int:
    """Let nothing more be paid under the mandate NAME, and under all below it."""
    return _change(as_json, asked, action="revoke", mandate=name)


def _change(as_json: bool, asked: dict[str, Any], **fields: str) -> int:
    from starter.cli.story import submit
    from starter.client.validation import checked
    from workflows.contract.mandate import MandateRequest

    repeated = asked["operation_id"] is not None
    operation_id = asked.pop("operation_id") or options.new_operation_id()
    actor = options.person(asked.pop("actor"))
    said = {name: value for name, value in asked.items() if value is not None}
    written = {"operation_id": operation_id, "actor": actor, **said, **fields}
    return submit(checked(MandateRequest, written, repeated=repeated), written, as_json=as_json)


@mandate.command("list")
@click.option("--agent", "agent_id", metavar="AGENT", help="Only the mandates of this agent.")
@options.as_json
def list_mandates(agent_id: str | None, as_json: bool) -> None:
    """List the mandates, each below the one it is a part of, with what is spent and left.

    What is left may be less: a mandate above it limits it as well.
    """
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> list[dict[str, Any]]:
        from ledger.read.queries import mandates
        from starter.cli.filters import known_agent

        found = await mandates(database, agent_id)
        if not found:
            await known_agent(database, "--agent", agent_id)
        return found

    found = [_with_left(each) for each in with_ledger(work)]
    if as_json:
        output.document(found)
        return
    titles = ("mandate", "agent", "state", "spent", "left", "payments", "until")
    output.table(titles, [_row(each) for each in found], empty="no mandate is granted")


def _with_left(mandate: dict[str, Any]) -> dict[str, Any]:
    limit, spent = mandate["amount_minor"], mandate["spent_minor"]
    return {**mandate, "left_minor": None if limit is None else limit - spent}


def _row(mandate: dict[str, Any]) -> tuple[str, ...]:
    from ledger.aggregates.amounts import amount_text

    currency, left, count = mandate["currency"], mandate["left_minor"], mandate["count"]
    return (
        "  " * len(mandate["chain"]) + mandate["mandate_id"],
        mandate["agent_id"],
        "revoked above" if mandate["revoked_above"] else mandate["state"],
        amount_text(mandate["spent_minor"], currency),
        "no limit" if left is None else amount_text(left, currency),
        str(mandate["payments"]) + ("" if count is None else f" of {count}"),
        str(mandate["valid_until"] or ""),
    )
