"""`amends agent` and `amends policy`: the agents and their spending limits."""

from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from ledger.aggregates.agent import AgentState
    from ledger.database import Database
    from ledger.read.show import Shown


@click.group()
def agent() -> None:
    """Register, revoke and list agents."""


@agent.command("register")
@click.argument("name")
@click.option(
    "--user", required=True, metavar="USER", help="The user on whose behalf the agent asks."
)
@options.actor
@options.reason
@options.operation_id
@options.as_json
def register(name: str, user: str, as_json: bool, **asked: str | None) -> int:
    """Let agent NAME ask for payments on behalf of a user."""
    return _change_agent(
        as_json, asked, action="register", agent_id=name, user=options.person(user)
    )


@agent.command("revoke")
@click.argument("name")
@options.actor
@options.reason
@options.operation_id
@options.as_json
def revoke(name: str, as_json: bool, **asked: str | None) -> int:
    """Deny every further request of agent NAME."""
    return _change_agent(as_json, asked, action="revoke", agent_id=name)


def _change_agent(as_json: bool, asked: dict[str, str | None], **fields: Any) -> int:
    from starter.cli.story import submit
    from starter.client.validation import checked
    from workflows.contract.agent import AgentRequest

    request = checked(AgentRequest, {**_asked_by(asked), **fields})
    before = _agent(request.agent_id) if request.action == "register" else None
    status = submit(request, as_json=as_json)
    if before and status == 0:
        _say_what_was(before, request.user, as_json)
    return status


def _say_what_was(before: "AgentState", user: str | None, as_json: bool) -> None:
    """Report what registering a known agent has changed; stdout has one document with --json."""
    say = output.aside if as_json else output.line
    if before.user != user:
        say(f"note: {before.agent_id} was of {before.user}")
    if before.state == "revoked":
        say(f"note: {before.agent_id} was revoked")


def _agent(agent_id: str) -> "AgentState | None":
    """The agent as recorded in the ledger; None too where the ledger can't be read."""
    return next((each for each in _agents() or () if each.agent_id == agent_id), None)


def _agents() -> "list[AgentState] | None":
    from starter.cli.client import with_ledger_if_any

    async def work(database: "Database") -> "list[AgentState]":
        from ledger.read.agents import agents

        return await agents(database)

    return with_ledger_if_any(work)


def _asked_by(asked: dict[str, str | None]) -> dict[str, str | None]:
    return {
        "operation_id": asked["operation_id"] or options.new_operation_id(),
        "actor": options.person(asked["actor"]),
        "reason": asked["reason"],
    }


@agent.command("list")
@options.as_json
def list_agents(as_json: bool) -> None:
    """List the agents in the ledger."""
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> "list[AgentState]":
        from ledger.read.agents import agents

        return await agents(database)

    found = with_ledger(work)
    if as_json:
        output.document([state.model_dump(mode="json") for state in found])
    else:
        rows = [(state.agent_id, state.user, state.state) for state in found]
        output.table(("agent", "user", "state"), rows, empty="no agent is registered")


@click.group()
def policy() -> None:
    """Set and show what an agent may spend."""


@policy.command("set")
@click.argument("agent")
@click.option("--currency", required=True, metavar="ISO4217")
@click.option(
    "--max-per-transaction",
    required=True,
    type=int,
    metavar="N",
    help="Minor units of one payment.",
)
@click.option("--daily-limit", required=True, type=int, metavar="N", help="Minor units of one day.")
@click.option(
    "--approval-threshold",
    required=True,
    type=int,
    metavar="N",
    help="Minor units above which a person decides.",
)
@click.option(
    "--time-zone", default="UTC", show_default=True, help="The time zone in which a day begins."
)
@options.actor
@options.reason
@options.operation_id
@options.as_json
def set_policy(
    agent: str,
    currency: str,
    max_per_transaction: int,
    daily_limit: int,
    approval_threshold: int,
    time_zone: str,
    as_json: bool,
    **asked: str | None,
) -> int:
    """Set what AGENT may spend, from its next request on. Equal to a limit is allowed."""
    from starter.cli.story import submit
    from starter.client.validation import checked
    from workflows.contract.agent import PolicyRequest

    limits = {
        "agent_id": agent,
        "currency": currency,
        "max_per_transaction_minor": max_per_transaction,
        "daily_limit_minor": daily_limit,
        "approval_threshold_minor": approval_threshold,
        "time_zone": time_zone,
    }
    status = submit(checked(PolicyRequest, {**_asked_by(asked), **limits}), as_json=as_json)
    known = _agents()
    if known is not None and agent not in {each.agent_id for each in known}:
        output.aside(f"note: no agent {agent} is registered yet: amends agent register {agent}")
    return status


@policy.command("show")
@click.argument("agent")
@options.as_json
def show_policy(agent: str, as_json: bool) -> None:
    """Show what AGENT may spend."""
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> "Shown":
        from ledger.read.show import policy

        return await policy(database, agent)

    shown = with_ledger(work)
    if as_json:
        output.document({**shown.state, "policy_version": shown.version})
        return
    from ledger.aggregates.money import amount_text

    output.line(f"policy of {agent}, version {shown.version}, days in {shown.state['time_zone']}")
    for name in ("max_per_transaction", "daily_limit", "approval_threshold"):
        amount = amount_text(shown.state[f"{name}_minor"], shown.state["currency"])
        output.line(f"  {name.replace('_', ' ')}: {amount}")
