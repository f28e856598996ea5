"""`amends agent` and `amends policy`: the agents and their spending limits."""

from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from ledger.database import Database
    from ledger.read.policies import RecordedPolicy, Window


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

    repeated = asked["operation_id"] is not None
    written = {**_asked_by(asked), **fields}
    request = checked(AgentRequest, written, repeated=repeated)
    before = _agent(request.agent_id) if request.action == "register" else None
    status = submit(request, written, as_json=as_json)
    if before and status == 0:
        _say_what_was(before, request.user, as_json)
    return status


def _say_what_was(before: dict[str, Any], user: str | None, as_json: bool) -> None:
    """Report what registering a known agent has changed; stdout has one document with --json."""
    say = output.aside if as_json else output.line
    if before["user"] != user:
        say(f"note: {before['agent_id']} was of {before['user']}")
    if before["state"] == "revoked":
        say(f"note: {before['agent_id']} was revoked")


def _agent(agent_id: str) -> "dict[str, Any] | None":
    """The agent as recorded in the ledger; None too where the ledger can't be read."""
    return next((each for each in _agents() or () if each["agent_id"] == agent_id), None)


def _agents() -> "list[dict[str, Any]] | None":
    from starter.cli.client import with_ledger_if_any

    async def work(database: "Database") -> "list[dict[str, Any]]":
        from ledger.read.queries import agents

        return await agents(database)

    return with_ledger_if_any(work)


def _asked_by(asked: dict[str, str | None]) -> dict[str, str]:
    said = {"reason": asked["reason"]} if asked["reason"] is not None else {}
    return {
        "operation_id": asked["operation_id"] or options.new_operation_id(),
        "actor": options.person(asked["actor"]),
        **said,
    }


@agent.command("list")
@options.as_json
def list_agents(as_json: bool) -> None:
    """List the agents in the ledger."""
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> "list[dict[str, Any]]":
        from ledger.read.queries import agents

        return await agents(database)

    found = with_ledger(work)
    if as_json:
        output.document(found)
    else:
        rows = [(each["agent_id"], each["user"], each["state"]) for each in found]
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
@click.option("--time-zone", show_default="UTC", help="The time zone in which a day begins.")
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
    time_zone: str | None,
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
    said = {name: value for name, value in limits.items() if value is not None}
    written, repeated = {**_asked_by(asked), **said}, asked["operation_id"] is not None
    request = checked(PolicyRequest, written, repeated=repeated)
    status = submit(request, written, as_json=as_json)
    known = _agents()
    if known is not None and agent not in {each["agent_id"] for each in known}:
        output.aside(f"note: no agent {agent} is registered yet: amends agent register {agent}")
    return status


@policy.command("show")
@click.argument("agent")
@options.as_json
def show_policy(agent: str, as_json: bool) -> None:
    """Show what AGENT may spend, has spent and has left.

    A window is the day that has begun in the time zone of the policy. What is reserved for payments
    that wait or are under way counts as spent.
    """
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> "RecordedPolicy":
        from ledger.errors import NotFound
        from ledger.read.policies import policy
        from starter.cli.filters import known_agent
        from starter.client.errors import NotKnown

        try:
            return await policy(database, agent)
        except NotFound:
            await known_agent(database, "AGENT", agent)
            raise NotKnown(f"no policy of {agent} yet: amends policy set {agent} sets it") from None

    shown = with_ledger(work)
    windows = [_window(window) for window in shown.windows]
    if as_json:
        output.document({**shown.state, "policy_version": shown.version, "windows": windows})
        return
    from ledger.aggregates.amounts import amount_text

    currency = shown.state["currency"]
    output.line(f"policy of {agent}, version {shown.version}, days in {shown.state['time_zone']}")
    for name in ("max_per_transaction", "daily_limit", "approval_threshold"):
        amount = amount_text(shown.state[f"{name}_minor"], currency)
        output.line(f"  {name.replace('_', ' ')}: {amount}")
    for window in shown.windows:
        spent, left = (amount_text(n, currency) for n in (window.spent_minor, window.left_minor))
        payments = "1 payment" if window.count == 1 else f"{window.count} payments"
        told = f"{spent} spent or reserved in {payments}, {left} left"
        output.line(f"  {window.period} window of {window.starts_on}: {told}")


def _window(window: "Window") -> dict[str, Any]:
    return {**vars(window), "left_minor": window.left_minor}
