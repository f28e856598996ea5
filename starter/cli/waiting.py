"""`amends waiting`: everything that somebody must do, with the command for it."""

from typing import TYPE_CHECKING

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.database import Database
    from starter.client.client import Amends
    from starter.client.waiting import Todo, Todos
    from workflows.contract.waits import Wait


@click.command()
@click.option(
    "--kind", metavar="KIND", help="Only sagas of this kind (payment, change, ...), or schedule."
)
@click.option("--agent", metavar="NAME", help="Only payments of this agent.")
@click.option("--for", "whom", metavar="WHO", help="Only what waits for WHO: user, or agent:NAME.")
@click.option("--limit", type=click.IntRange(min=1, max=100_000), default=50, show_default=True)
@options.utc
@options.as_json
def waiting(
    kind: str | None, agent: str | None, whom: str | None, limit: int, as_json: bool
) -> None:
    """List everything that somebody must do, the longest wait first.

    Payments to approve or to capture, steps that need an operator's word or are in doubt, undos
    without success, sagas whose run Temporal lost or paused, and schedules that missed their moment
    or failed. Each with what it is about, since when, until when, for whom, and the commands.
    """
    from starter.cli.client import with_both

    async def work(database: "Database", amends: "Amends | None", why_not: str) -> "Todos":
        from starter.client.waiting import todos

        await _check(database, kind, agent, whom)
        return await todos(database, amends, why_not)

    found = with_both(work)
    rows = [row for row in found.rows if _matches(row, kind, agent, whom)]
    for lack in found.lacks:
        output.aside(f"amends: {lack}")
    if as_json:
        output.document([row.document() for row in rows[:limit]])
        return
    for row in rows[:limit]:
        _show(row)
    if len(rows) > limit:
        output.line(f"and {len(rows) - limit} more: --limit {len(rows)} lists them")
    elif not rows:
        output.line("nobody has to do anything" if not (kind or agent or whom) else "nothing waits")


async def _check(
    database: "Database", kind: str | None, agent: str | None, whom: str | None
) -> None:
    """Raises InvalidInput for a filter that can match nothing."""
    from starter.client.errors import InvalidInput
    from workflows.contract.kinds import KINDS

    kinds = [each.name for each in KINDS] + ["schedule"]
    if kind is not None and kind not in kinds:
        raise InvalidInput("--kind", f"one of {', '.join(kinds)} is needed")
    is_agent = whom is not None and whom.startswith("agent:")
    if whom is not None and whom != "user" and not is_agent:
        raise InvalidInput("--for", "user or agent:NAME is needed")
    named = agent or (whom.removeprefix("agent:") if whom is not None and is_agent else None)
    if named is None:
        return
    from ledger.read.queries import agents

    if named not in {each["agent_id"] for each in await agents(database)}:
        option = "--agent" if agent else "--for"
        raise InvalidInput(option, "no such agent: amends agent list lists them")


def _matches(row: "Todo", kind: str | None, agent: str | None, whom: str | None) -> bool:
    from workflows.contract.waits import ANY_USER

    return (
        kind in (None, row.kind)
        and agent in (None, row.facts.get("agent"))
        and (whom in (None, row.wait.whom) or (whom == ANY_USER and row.wait.takes_any_user))
    )


def _show(row: "Todo") -> None:
    output.line(f"{row.name}: {headline(row.wait)}")
    for line in fact_lines(row.facts):
        output.line(f"  {line}")
    output.line(f"  {when(row.wait)}")
    for command in row.wait.commands:
        output.line(f"  $ {command}")


def headline(wait: "Wait") -> str:
    """What is waited for, in the words of `SagaState` and `SagaStep`, as it is on record: what is
    tried again may have been tried more often since."""
    least = "" if wait.state == "needs_attention" else "at least "
    counted = f"{wait.tries} tries" if wait.tries > 1 else "1 try"
    tries = f" after {least}{counted}" if wait.tries else ""
    why = f": {wait.why}" if wait.why else ""
    match wait.state:
        case "running":
            return f"waits for {wait.waits_for}"
        case "schedule" | "case":
            return f"{wait.state} {wait.waits_for}{why}"
        case "orphaned" | "paused":
            return f"{wait.state}{why}"
        case state:
            what = f"undo of {wait.waits_for}" if wait.undoing else wait.waits_for
            return f"{state}, {what}{tries}{why}"


def fact_lines(facts: "Mapping[str, str]") -> list[str]:
    """The facts of a request, a line each, in columns."""
    width = max(map(len, facts), default=0)
    return [f"{name:{width}}  {text}" for name, text in facts.items()]


def when(wait: "Wait") -> str:
    """Since when, until when, and for whom."""
    since = f"since {output.moment(wait.since)}" if wait.since else "since an unknown time"
    until = f", until {output.moment(wait.until)}" if wait.until else ""
    whom = {"user": "any user", "": "nobody yet"}.get(wait.whom, wait.whom)
    if wait.takes_any_user and wait.whom != "user":
        whom += " or any user"
    return f"{since}{until}, for {whom}"
