"""`amends sagas`, `saga`, `verify`: the sagas in the ledger, and its verification."""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ledger.aggregates.columns import HEAD
from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.step_report import report_of
from starter.cli import events, options, output

if TYPE_CHECKING:
    from ledger.audit.verify import Verified
    from ledger.database import Database
    from ledger.read.cursors import Row
    from ledger.read.queries import ListedSagas
    from ledger.read.sagas import SagaStory
    from ledger.read.waits import Waiting
    from workflows.contract.waits import Wait

_LIMIT = click.IntRange(min=1, max=100_000)
_HEAD = frozenset(column.name for column in HEAD)


@click.command()
@click.option("--open", "open_only", is_flag=True, help="Only sagas that have not ended.")
@click.option("--limit", type=_LIMIT, default=50, show_default=True)
@options.utc
@options.as_json
def sagas(open_only: bool, limit: int, as_json: bool) -> None:
    """List the newest sagas, the newest first."""
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> "ListedSagas":
        from ledger.read.queries import sagas

        return await sagas(database, open_only=open_only, limit=limit)

    found = with_ledger(work)
    if as_json:
        output.document([_saga_document(saga, found) for saga in found.rows])
    else:
        rows = [_listed(saga, found) for saga in found.rows]
        output.table(
            ("saga", "state", "waits for", "ended as", "started"),
            rows,
            droppable=("started", "state"),
            empty="no saga is open" if open_only else "no saga in the ledger yet",
        )
    if found.more:
        output.more(limit, as_json=as_json)


def _listed(saga: dict[str, Any], found: "ListedSagas") -> tuple[object, ...]:
    from ledger.read.waits import standing
    from starter.client.endings import ended_as

    state, waits_for = standing(saga, found.waits[saga["workflow_id"]])
    # The result of a saga that failed may hold a reason alone.
    end = ended_as(saga["result"], saga["state"]) if saga["ended_at"] else ""
    return (saga["workflow_id"], state, waits_for, end, output.moment(saga["started_at"]))


def _saga_document(saga: dict[str, Any], found: "ListedSagas") -> dict[str, object]:
    return _document(saga, _waits(found.waits[saga["workflow_id"]]))


@click.command()
@click.argument("saga", metavar="ID")
@options.utc
@options.as_json
def saga(saga: str, as_json: bool) -> None:
    """Show the saga ID: its state, its steps, its events.

    Steps come in the order of their start, events the newest first.
    """
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> tuple["SagaStory", dict[str, str]]:
        from ledger.read.sagas import amounts_of
        from ledger.read.sagas import saga as saga_story
        from starter.client.subject import amount_facts

        saga_id = await _saga_id(database, saga)
        amounts = await amounts_of(database, [saga_id])
        return await saga_story(database, saga_id), amount_facts(amounts.get(saga_id))

    story, amounts = with_ledger(work)
    if as_json:
        steps = [_state(step) | report_of(step) for step in story.step_rows]
        written = [event.document() for event in story.events[::-1]]
        told = _document(_state(story.row), _waits(story.waits))
        output.document({**told, "steps": steps, "events": written})
        return
    _tell(story, amounts)


async def _saga_id(database: "Database", text: str) -> str:
    from ledger.errors import NotFound
    from starter.client.errors import NotKnown
    from starter.client.reading import meant_by

    try:
        found = await meant_by(database, text)
    except NotFound as error:
        named = text if "/" in text else f"KIND/{text}"
        raise NotKnown(
            f"{error}: amends sagas lists the sagas; one is not in the ledger before its start "
            f"delay has passed: temporal workflow describe --workflow-id {named} shows that"
        ) from None
    if not found.startswith("saga/"):
        raise NotKnown(
            f"{found} is not a saga: amends sagas lists the sagas, amends show shows the aggregate"
        )
    return found.removeprefix("saga/")


def _document(saga: dict[str, Any], waits: "list[Wait]") -> dict[str, object]:
    told = {name: saga[name] for name in saga if name not in ("workflow_id", *_WAIT_COLUMNS)}
    waiting = [vars(wait) for wait in waits]
    return {"saga_id": saga["workflow_id"], **told, "waits": waiting}


# Told by `waits`, with the waits of the steps.
_WAIT_COLUMNS = ("waits_for", "waits_on", "waits_since", "waits_until")


def _waits(waits: "list[Waiting]") -> "list[Wait]":
    if not waits:
        return []
    from starter.client.environment import server_options
    from starter.client.recorded import wait_of

    where, found = server_options(), []
    for each in waits:
        try:
            found.append(wait_of(each, where))
        except RowUnreadable as error:
            output.aside(f"amends: {error}")
    return found


def _state(row: "Row") -> dict[str, Any]:
    """The fields of the state in a row of a state table."""
    return {name: row[name] for name in row if name not in _HEAD}


def _tell(story: "SagaStory", amounts: dict[str, str]) -> None:
    from starter.cli.waiting import fact_lines, when
    from starter.client.planned import PLAN_STEP, operations_of
    from starter.client.subject import facts_of

    saga = story.row
    output.line(_standing(story))
    for wait in _waits(story.waits):
        output.line(when(wait))
    seen = next((step["result"] for step in story.step_rows if step["name"] == PLAN_STEP), None)
    planned = operations_of(saga["kind"], saga["input"], seen, saga["result"])
    for line in fact_lines(facts_of(saga["kind"], saga["input"], planned) | amounts):
        output.line(line)
    rows = [
        (
            *(step["ordinal"], step["name"], report["outcome"], report["tries"]),
            *(report["undo_outcome"], report["undo_tries"] or None),
            step["attention"] or step["residual"] or step["reason"],
        )
        for step, report in ((step, report_of(step)) for step in story.step_rows)
    ]
    headers = ("#", "step", "outcome", "tries", "undo", "undo tries", "note")
    output.table(headers, rows, empty="no step yet")
    events.show(story.events[::-1], saga["workflow_id"])


def _standing(story: "SagaStory") -> str:
    from starter.client.wording import ending, standing

    saga, asked = story.row, story.row["input"]
    # What stands there may be anything: verify names it.
    agent = asked.get("agent_id") if isinstance(asked, dict) else None
    if story.waits:
        from starter.client.environment import server_options
        from starter.client.recorded import recorded_of

        return standing(recorded_of(story, server_options()), agent)
    if saga["result"] is None:
        return f"{saga['workflow_id']}: {saga['state']}"
    return ending(saga["workflow_id"], saga["result"], saga["state"], agent)


@click.command()
@click.option(
    "--since",
    metavar="POSITION|WHEN",
    help="Only aggregates touched since: much faster; the result names what this can't detect.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1, max=64),
    default=1,
    show_default=True,
    help="The number of processes that share the work.",
)
@options.as_json
def verify(since: str | None, processes: int, as_json: bool) -> int:
    """Fold every aggregate anew and compare it with its row. Exit status 1 if anything differs."""
    from starter.cli.client import with_ledger

    after = _point(since)

    async def work(database: "Database") -> "Verified":
        from ledger.audit.verify import verify

        return await verify(database, since=after, processes=processes)

    verified = with_ledger(work)
    if as_json:
        output.document(asdict(verified))
    else:
        for found in verified.findings:
            output.line(found.message)
        output.line(
            f"{verified.events} events, {verified.aggregates} aggregates, "
            f"{_number_of_findings(verified)}"
        )
        output.line(f"It can't detect {_cannot_detect(verified)}: see docs/verify.md.")
    return 1 if verified.findings else 0


def _point(since: str | None) -> "int | datetime | None":
    if since is None:
        return None
    if re.fullmatch(r"[0-9]{1,18}", since):
        return int(since)
    from starter.cli.moments import parse_past

    return parse_past(since, now=datetime.now(UTC), field="--since")


def _number_of_findings(verified: "Verified") -> str:
    listed = len(verified.findings)
    return f"{listed + verified.unlisted} findings" + (
        f", of which the first {listed} are listed" if verified.unlisted else ""
    )


def _cannot_detect(verified: "Verified") -> str:
    what = "a history that its owner rewrote alike in all places"
    if verified.since is not None:
        what = f"what no event touched after position {verified.since}"
    if verified.settled is None:
        return what
    return f"{what}; next time: --since {verified.settled}"
