"""`amends agent` and `amends policy`: the agents and their spending limits."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.database import Database
    from ledger.read.policies import RecordedPolicy, Window
    from ledger.read.policy_simulation import Simulated


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


_LIMITS = (
    ("daily_count", "Payments of one day."),
    ("weekly_limit", "Minor units of one week."),
    ("weekly_count", "Payments of one week."),
    ("monthly_limit", "Minor units of one month."),
    ("monthly_count", "Payments of one month."),
    ("total_limit", "Minor units in all."),
    ("total_count", "Payments in all."),
)


def _more_limits(command: options.Command) -> options.Command:
    """Add an option for each limit that a policy need not have."""
    for name, text in reversed(_LIMITS):
        flag = "--" + name.replace("_", "-")
        command = click.option(flag, type=int, metavar="N", help=text)(command)
    return command


@policy.command("set")
@click.argument("agent")
@click.option(
    "--file",
    "file",
    metavar="FILE",
    help="YAML or JSON with the fields of a policy, beside or in place of options; - is stdin.",
)
@click.option("--currency", metavar="ISO4217")
@click.option("--max-per-transaction", type=int, metavar="N", help="Minor units of one payment.")
@click.option("--daily-limit", type=int, metavar="N", help="Minor units of one day.")
@click.option(
    "--approval-threshold",
    type=int,
    metavar="N",
    help="Minor units above which a person decides.",
)
@_more_limits
@click.option("--time-zone", show_default="UTC", help="The time zone in which a day begins.")
@click.option(
    "--capture-within",
    metavar="DURATION",
    show_default="P7D",
    help="How long an approved payment waits for its capture.",
)
@options.actor
@options.reason
@options.operation_id
@options.as_json
def set_policy(
    agent: str,
    file: str | None,
    actor: str | None,
    reason: str | None,
    operation_id: str | None,
    as_json: bool,
    **asked: int | str | None,
) -> int:
    """Set what AGENT may spend, from its next request on. Equal to a limit is allowed.

    A FILE may name what has no option: allowed and refused destinations, hours, approvers, and
    limits in further currencies (amends schema PolicySaga).
    """
    from starter.cli.documents import read_yaml
    from starter.cli.story import submit
    from starter.client.errors import InvalidInput
    from starter.client.validation import checked
    from workflows.contract.policy import PolicyRequest

    from_file = read_yaml(file) if file is not None else {}
    if from_file.get("agent_id", agent) != agent:
        raise InvalidInput("agent_id", f"is another agent than {agent}, whose policy is to be set")
    asked_by = {"actor": actor, "reason": reason, "operation_id": operation_id}
    by = _asked_by(asked_by)
    # What the command line says overrides the file, and its defaults do not.
    given = {name: text for name, text in by.items() if asked_by[name] is not None}
    written = {**by, **from_file, **given, **_said(asked), "agent_id": agent}
    repeated = operation_id is not None or "operation_id" in from_file
    request = checked(PolicyRequest, written, repeated=repeated)
    status = submit(request, written, as_json=as_json)
    known = _agents()
    if known is not None and agent not in {each["agent_id"] for each in known}:
        output.aside(f"note: no agent {agent} is registered yet: amends agent register {agent}")
    return status


_MINOR = ("_limit", "_per_transaction", "_threshold")


def _said(asked: dict[str, Any]) -> dict[str, Any]:
    """The options of a policy that were given, by the names of their fields."""
    return {
        f"{name}_minor" if name.endswith(_MINOR) else name: value
        for name, value in asked.items()
        if value is not None
    }


@policy.command("simulate")
@click.argument("file")
@click.option("--agent", metavar="AGENT", help="The agent, where FILE names none.")
@click.option("--from", "since", required=True, metavar="WHEN", help="A time, or PT24H ago.")
@click.option("--to", "until", metavar="WHEN", show_default="now", help="A time, or PT1H ago.")
@options.as_json
def simulate_policy(
    file: str, agent: str | None, since: str, until: str | None, as_json: bool
) -> int:
    """Show the past decisions that FILE would change.

    FILE is YAML or JSON with the fields of a policy; - is stdin. Nothing is set. What was spent
    before --from counts as it was; what was denied and would be allowed counts as captured. Exit
    status 1 if a decision differs.
    """
    from starter.cli.client import with_ledger
    from starter.cli.documents import read_yaml
    from starter.cli.moments import parse_past
    from starter.client.validation import checked
    from workflows.contract.policy import PolicyRequest

    fields = {"actor": options.person(None), **read_yaml(file)}
    request = checked(PolicyRequest, {**fields, "agent_id": agent} if agent else fields)
    now = datetime.now(UTC)
    begins = parse_past(since, now=now, field="--from")
    ends = parse_past(until, now=now, field="--to") if until else now

    async def work(database: "Database") -> "Simulated":
        from ledger.aggregates.policy import PolicyState, Terms
        from ledger.read.policy_simulation import simulate

        amounts = request.model_dump(include=set(PolicyState.__struct_fields__))
        policy = PolicyState(terms=Terms.read(request.terms()), **amounts)
        return await simulate(database, policy, begins, ends)

    found = with_ledger(work)
    if as_json:
        differing = [vars(each) for each in found.differing]
        output.document({"decisions": found.decisions, "differing": differing})
    else:
        _show_simulated(found)
    return 1 if found.differing else 0


def _show_simulated(found: "Simulated") -> None:
    from ledger.aggregates.amounts import amount_text

    rows = [
        (
            f"{each.requested_at:%Y-%m-%d %H:%M:%S}Z",
            each.saga_id,
            amount_text(each.amount_minor, each.currency),
            ", ".join((each.was, *each.was_reasons)),
            ", ".join((each.would, *each.would_reasons)),
        )
        for each in found.differing
    ]
    if rows:
        output.table(("requested", "payment", "amount", "was", "would be"), rows, empty="")
    output.line(f"{len(rows)} of {found.decisions} decisions differ")


@policy.command("show")
@click.argument("agent")
@options.as_json
def show_policy(agent: str, as_json: bool) -> None:
    """Show what AGENT may spend, has spent and has left.

    A window is a day, a week or a month that has begun in the time zone of the policy, or its whole
    life. What is reserved for payments that wait or are under way counts as spent.
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
    for line in _more(shown.state["terms"]):
        output.line(f"  {line}")
    for window in shown.windows:
        output.line(f"  {window.period} window of {window.starts_on}: {_told(window)}")


def _more(terms: dict[str, Any]) -> "Iterator[str]":
    """What a policy says beyond its amounts, a line each. Accounts are counted, not shown."""
    from ledger.aggregates.amounts import amount_text
    from ledger.times import duration_text

    for currency, limits in terms.get("further", {}).items():
        at_once = amount_text(limits["max_per_transaction_minor"], currency)
        above = amount_text(limits["approval_threshold_minor"], currency)
        yield f"in {currency}: at most {at_once} at once, a person approves above {above}"
    for name in ("allowed", "refused"):
        if (accounts := terms.get(f"{name}_destinations")) is not None:
            yield f"{name} destinations: {len(accounts)} (--json has them)"
    for hours in terms.get("hours") or ():
        yield f"hours: {' '.join(hours['days'])} {hours['start']}-{hours['end']}"
    for approver in terms.get("approvers") or ():
        limit = approver.get("limit_minor")
        up_to = f" up to {amount_text(limit, approver['currency'])}" if limit is not None else ""
        yield f"approver: {approver['user']}{up_to}"
    if terms.get("approvals", 1) > 1:
        yield f"approvals needed: {terms['approvals']}"
    if terms.get("mandate_required"):
        yield "mandate: every payment names one"
    if (within := terms.get("capture_within_s")) is not None:
        yield f"captured within: {duration_text(timedelta(seconds=within))}"


def _told(window: "Window") -> str:
    from ledger.aggregates.amounts import amount_text

    payments = "1 payment" if window.count == 1 else f"{window.count} payments"
    told = f"{amount_text(window.spent_minor, window.currency)} spent or reserved in {payments}"
    if window.left_minor is not None:
        told += f", {amount_text(window.left_minor, window.currency)} left"
    if window.count_limit is not None:
        told += f", of {window.count_limit} payments"
    return told


def _window(window: "Window") -> dict[str, Any]:
    return {**vars(window), "left_minor": window.left_minor}
