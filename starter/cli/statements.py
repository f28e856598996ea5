"""`amends reconcile` and `amends case`: a bank's statement against the transfers, and its cases."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from ledger.database import Database

# So many differences are shown; the list of cases has all.
_SHOWN = 20
_LIMIT = click.IntRange(min=1, max=100_000)


@click.command()
@click.option(
    "--statement",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The bank's file: camt.053, camt.054 or MT940.",
)
@click.option(
    "--from", "since", metavar="TIME", help="Compare the adapter's own list from here on."
)
@click.option("--to", "until", metavar="TIME", help="The end of that list (default: now).")
@click.option(
    "--booked-within",
    metavar="DURATION",
    help="How late a bank may book: until then a transfer is not missing (default P1D).",
)
@click.option("--bank-time-zone", metavar="ZONE", help="The zone of the bank's days (default UTC).")
@click.option(
    "--arrived", is_flag=True, help="Compare all files of the worker's folder that are not yet."
)
@options.operation_id
@options.actor
@options.reason
@options.later
@options.following
@options.as_json
def reconcile(
    statement: Path | None, since: str | None, later: options.Later, as_json: bool, **asked: Any
) -> int:
    """Compare a bank's statement with the transfers.

    Each difference is a case (amends case). The file goes to the folder of the worker
    (AMENDS_STATEMENTS); the same file again changes nothing. With --at or --cron a schedule does
    it; its name is the operation id.

    The exit status is 0 when both sides agree, 1 with differences.
    """
    from starter.cli.story import carried, say, status_of
    from starter.client.errors import BadRequest
    from starter.client.validation import checked
    from workflows.contract.reconcile import ReconcileRequest

    if [statement is None, since is None, not asked["arrived"]].count(False) != 1:
        raise BadRequest("one of --statement FILE, --from TIME and --arrived is needed")
    said = {name: asked[name] for name in ("booked_within", "reason")}
    said["time_zone"] = asked["bank_time_zone"]
    fields: dict[str, Any] = {
        "operation_id": asked["operation_id"] or options.new_operation_id(),
        "actor": options.person(asked["actor"]),
        **{name: text for name, text in said.items() if text is not None},
    }
    if asked["arrived"]:
        fields["arrived"] = True
    else:
        fields |= _handed_over(statement) if statement else _listing(str(since), asked["until"])
    request = checked(ReconcileRequest, fields, repeated=asked["operation_id"] is not None)
    if later and not asked["arrived"]:
        raise BadRequest(
            "a schedule reconciles what has arrived: --arrived with --at or --cron; a file or a "
            "time would be the same in every run"
        )
    if later:
        from starter.cli.schedules import submit_later

        return submit_later(request, later, as_json)
    following = {name: asked[name] for name in ("detach", "wait")}
    progress = carried(request, fields, as_json=as_json, **following)
    say(progress, as_json=as_json)
    result = progress.result or {}
    if not as_json and result.get("detail"):
        output.line(str(result["detail"]))
    if not as_json and (result.get("statement_id") or asked["arrived"]) and result:
        _show(result)
    return status_of(progress)


def _handed_over(file: Path) -> dict[str, Any]:
    """Copies the file to the folder of the worker, under a name of its own. Raises WrongSetting
    where that folder is not here."""
    import hashlib
    import os
    import re

    from starter.client.environment import settings
    from starter.client.errors import WrongSetting

    named = settings().get("AMENDS_STATEMENTS")
    folder = Path(named) if named else None
    if folder is None or not folder.is_dir():
        raise WrongSetting(
            "AMENDS_STATEMENTS names no folder of this machine: run this where the worker runs, "
            "with its AMENDS_STATEMENTS, or compare the adapter's own list with --from"
        )
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", file.name)[-100:]
    name = f"{digest[:16]}-{kept}"
    # Whole, or not there under this name.
    being_copied = folder / f"{name}.{os.getpid()}.part"
    try:
        with file.open("rb") as opened, being_copied.open("xb") as copy:
            while block := opened.read(1 << 20):
                copy.write(block)
        being_copied.replace(folder / name)
    except OSError as error:
        raise WrongSetting(f"{folder} can't be written ({error.strerror})") from None
    return {"statement": {"name": name, "sha256": digest}}


def _listing(since: str, until: str | None) -> dict[str, Any]:
    from datetime import UTC, datetime

    from starter.cli.moments import parse_past

    now = datetime.now(UTC)
    begins_at = parse_past(since, now=now, field="--from")
    ends_at = parse_past(until, now=now, field="--to") if until else now
    return {"listing": {"begins_at": begins_at.isoformat(), "ends_at": ends_at.isoformat()}}


def _show(result: dict[str, Any]) -> None:
    """The figures of a statement, and its cases as far as the ledger can be read."""
    from starter.cli.client import with_ledger_if_any

    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(result["kinds"].items()))
    awaited = f"; {result['awaited']} awaited in the next" if result["awaited"] else ""
    statement_id = result["statement_id"]
    files = "" if statement_id else f"{result['files']} files: "
    output.line(
        f"{files}{result['matched']} bookings agree; differences: {kinds or 'none'}{awaited}"
    )
    if not result["differences"]:
        return
    if not statement_id:
        output.line("amends case list lists the cases")
        return

    async def work(database: "Database") -> list[dict[str, Any]]:
        from ledger.read.cases import cases

        return await cases(database, statement_id=statement_id, limit=_SHOWN)

    found = with_ledger_if_any(work) or []
    _table(found)
    if result["differences"] > len(found):
        output.line(f"amends case list --statement {statement_id} lists them all")


@click.group()
def case() -> None:
    """List and close the cases.

    A case is a difference between a bank's statement and the transfers (amends reconcile)."""


@case.command("list")
@click.option("--statement", metavar="ID", help="Only the cases of this statement.")
@click.option("--all", "closed_too", is_flag=True, help="The closed ones, too.")
@click.option("--limit", type=_LIMIT, default=50, show_default=True)
@options.as_json
def list_cases(statement: str | None, closed_too: bool, limit: int, as_json: bool) -> None:
    """List the cases, the longest open first."""
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> list[dict[str, Any]]:
        from ledger.read.cases import cases

        return await cases(
            database, statement_id=statement, open_only=not closed_too, limit=limit + 1
        )

    found = with_ledger(work)
    if as_json:
        output.document(found[:limit])
    else:
        _table(found[:limit])
    if len(found) > limit:
        output.more(limit, as_json=as_json)


@case.command("close")
@click.argument("case_id", metavar="ID")
@click.option(
    "--evidence", required=True, metavar="TEXT", help="What became of the difference, for good."
)
@options.actor
@options.reason
@options.operation_id
@options.as_json
def close(case_id: str, evidence: str, as_json: bool, **asked: str | None) -> int:
    """Close the case ID, as a person, with evidence that stays in the ledger."""
    from starter.cli.story import submit
    from starter.client.validation import checked
    from workflows.contract.reconcile import CaseRequest

    said = {"reason": asked["reason"]} if asked["reason"] is not None else {}
    fields = {
        "operation_id": asked["operation_id"] or options.new_operation_id(),
        "case_id": case_id.removeprefix("case/"),
        "evidence": evidence,
        "actor": options.person(asked["actor"]),
        **said,
    }
    request = checked(CaseRequest, fields, repeated=asked["operation_id"] is not None)
    return submit(request, fields, as_json=as_json)


def _table(cases: list[dict[str, Any]]) -> None:
    from starter.client.subject import case_facts

    rows = []
    for each in cases:
        facts = case_facts(each)
        names = ("transfer", "entry", "booked", "recorded")
        known = [facts.get(name, "") for name in names]
        rows.append((each["case_id"], each["kind"], *known, each["detail"] or "", each["state"]))
    headers = ("case", "kind", "transfer", "entry", "booked", "recorded", "detail", "state")
    output.table(headers, rows, droppable=("detail", "state"), empty="no such case")
