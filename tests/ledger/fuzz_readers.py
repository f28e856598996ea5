"""Reads a ledger that was touched, by each reader and command: an answer, or an error of ours."""

import asyncio
import io
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities import orphans
from activities.orphans import Care, Look, OrphanedSagas
from ledger.aggregates.errors import RowUnreadable, UnknownEvent
from ledger.audit import cross_checks, findings
from ledger.audit.projection import sources
from ledger.audit.rebuild import rebuild
from ledger.audit.verify import verify
from ledger.database import Database, open_database
from ledger.errors import LedgerError
from ledger.read.diff_and_blame import blame, diff
from ledger.read.global_order import START
from ledger.read.log import log
from ledger.read.point_in_time import Point
from ledger.read.queries import PaymentQuery, payments, present_resources, sagas
from ledger.read.sagas import saga
from ledger.read.show import show
from ledger.read.subscription import Follower
from ledger.read.waits import waiting
from ledger.sagas.open_sagas import open_sagas
from starter.cli.run import run
from starter.client.waiting import recorded_todos
from tests.ledger.conftest import Clone

if TYPE_CHECKING:
    from tests.ledger.fuzz_values import Touch

# So many touched rows are asked for by commands, each of which is a run of the command line.
BY_COMMAND = 12
ALL = 10**6
OURS = (LedgerError, UnknownEvent, RowUnreadable)
LISTS = ("sagas", "payments", "resources", "log", "follow", "verify", "agent list")


async def read_all(clone: Clone, touched: "list[Touch]", temporal: Client) -> list[str]:
    """Reads in every way, and sweeps; returns what was wrong, in sentences."""
    wrong = await _verified(clone, touched)
    async with open_database(clone.auditor, size=2) as database:
        notes: list[str] = []
        database.note = notes.append
        wrong += await _lists(database, touched, notes)
        wrong += await _log(database, touched)
        wrong += await _one_by_one(database, touched)
    wrong += await asyncio.to_thread(_commands, clone, touched)
    wrong += await _swept(clone, touched, temporal)
    for table in sources():
        wrong += await _answers(f"rebuild {table}", partial(rebuild, clone.owner, table))
    return wrong


async def _answers(what: str, ask: Callable[[], Awaitable[object]]) -> list[str]:
    """Nothing where the reader answers, or refuses with an error of ours."""
    try:
        await ask()
    except OURS:
        return []
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return [f"{what}: {type(error).__name__}: {str(error)[:200]}"]
    return []


async def _verified(clone: Clone, touched: "list[Touch]") -> list[str]:
    with (
        patch.object(findings, "MAX_FINDINGS", ALL),
        patch.object(cross_checks, "MAX_FINDINGS", ALL),
    ):
        async with open_database(clone.auditor, size=1) as database:
            found = (await verify(database)).findings
    # The schema was touched too: a partition for any time.
    told = [each for each in found if each.kind != "rule"]
    causes: dict[str | int | None, list[Touch]] = {}
    for it in touched:
        for name in {it.aggregate, it.position, *it.names}:
            causes.setdefault(name, []).append(it)
    wrong, seen = [], set[int]()
    for each in told:
        found_in = causes.get(each.where) or (causes.get(each.position) if each.position else None)
        seen |= {id(it) for it in found_in or ()}
        # The sums are of the events, by whatever name the window of a touched one goes.
        by_sum = each.kind == "spend_window" and any(
            it.aggregate.startswith("authorization/") for it in touched
        )
        if not found_in and not by_sum:
            wrong.append(f"verify reports what was not touched: {each.message}")
    wrong += [f"verify misses {each}" for each in touched if each.certain and id(each) not in seen]
    return wrong


async def _lists(database: Database, touched: "list[Touch]", notes: list[str]) -> list[str]:
    async def drained() -> int:
        return sum([len(page) async for page in open_sagas(database, at_most=7)])

    wrong = []
    for what, table, ask in (
        ("sagas", "sagas", lambda: sagas(database, limit=ALL)),
        ("payments", "authorizations", lambda: payments(database, PaymentQuery(), limit=ALL)),
        ("resources", "resources", lambda: present_resources(database, "dev", limit=ALL)),
        ("waiting", "", lambda: waiting(database, limit=ALL)),
        ("open sagas", "", drained),
        ("what waits", "", lambda: recorded_todos(database)),
    ):
        notes.clear()
        wrong += await _answers(what, ask)
        unreadable = [it for it in touched if it.unreadable and it.table == table]
        wrong += [
            f"{what} does not name {it}"
            for it in unreadable
            # A resource whose state can't be told is in no list of those that are present.
            if not any(it.column in note and it.aggregate in note for note in notes)
            and it.column != "aggregate"
        ]
        known = {name for it in touched for name in (it.aggregate, *it.names)}
        wrong += [
            f"{what} names what was not touched: {note}"
            for note in notes
            if not any(name and name[:150] in note for name in known)
        ]
    return wrong


async def _swept(clone: Clone, touched: "list[Touch]", temporal: Client) -> list[str]:
    """Temporal knows none of the runs, so every open saga that was not touched is found."""
    query = "SELECT aggregate FROM ledger.sagas WHERE ended_at IS NULL"
    mine = {str(name) for (name,) in await clone.fetch(query)}
    found: set[str] = set()

    async def sweep(database: Database) -> None:
        sweeps = OrphanedSagas(database, temporal, Care(timedelta()), ())
        seen = await ActivityEnvironment().run(sweeps.look_for_lost_sagas, Look(all=True))
        found.update(f"saga/{each.saga_id}" for each in seen.lost)

    with patch.object(orphans, "MOST_AT_ONCE", ALL):
        async with open_database(clone.worker, size=2, writes=True) as database:
            wrong = await _answers("sweep", partial(sweep, database))
    missed = mine - found - {name for it in touched for name in (it.aggregate, *it.names)}
    return wrong + [f"the sweep misses {name}" for name in sorted(missed)[:9]]


async def _log(database: Database, touched: "list[Touch]") -> list[str]:
    events = await log(database, limit=ALL)
    flagged = {event.position for event in events if event.unreadable}
    logged = {event.position for event in events}
    wrong = []
    for each in touched:
        is_shown = each.table == "event_log" and each.position in logged - flagged
        if is_shown and each.unreadable and each.column in ("payload", "metadata", "timestamp"):
            wrong.append(f"log does not name {each}")
    positions = {each.position for each in touched if each.table == "event_log"}
    wrong += [f"log names position {it}" for it in flagged - positions]
    follower, followed = Follower(database, after=START), list[int]()
    final = [event.position for event in events if event.token is not None]

    async def follow() -> None:
        async for event in follower.events():
            followed.append(event.position)
            if len(followed) == len(final):
                return

    wrong += await _answers("follow", lambda: asyncio.wait_for(follow(), 60))
    return wrong if followed == final else [*wrong, "follow gives other events than log"]


async def _one_by_one(database: Database, touched: "list[Touch]") -> list[str]:
    wrong = []
    for each in touched:
        name = each.aggregate
        if each.table == "spend_windows":
            continue
        wrong += await _answers(f"show, {each}", partial(show, database, name))
        wrong += await _answers(f"blame, {each}", partial(blame, database, name))
        if name.startswith("saga/"):
            saga_id = name.removeprefix("saga/")
            wrong += await _answers(f"saga, {each}", partial(saga, database, saga_id))
    for each in touched[:BY_COMMAND]:
        points = Point(position=1), Point(position=len(touched))
        name = each.aggregate
        wrong += await _answers(f"diff, {each}", partial(diff, database, name, *points))
    return wrong


def _commands(clone: Clone, touched: "list[Touch]") -> list[str]:
    lists = [["sagas", "--limit", "100000"], ["sagas", "--open"], ["payments", "--limit", "100000"]]
    lists += [["resources"], ["log", "--all"], ["verify"], ["agent", "list"]]
    lists += [["follow", "--after", "0-0-0", "--limit", "100"]]
    asked = [[*each, *more] for each in lists for more in ([], ["--json"])]
    sample = [it.aggregate for it in touched if it.table != "spend_windows"]
    stories = [name for name in sample if name.startswith("saga/")][:BY_COMMAND]
    asked += [[verb, name] for name in sample[:BY_COMMAND] for verb in ("show", "blame", "log")]
    asked += [["diff", name, "1", "100"] for name in sample[:BY_COMMAND]]
    asked += [["saga", name, *more] for name in stories for more in ([], ["--json"])]
    policies = [name for name in sample if name.startswith("policy/")][:BY_COMMAND]
    asked += [["policy", "show", name.removeprefix("policy/")] for name in policies]
    with patch.dict(os.environ, {"AMENDS_AUDIT_URL": clone.auditor}):
        return [line for arguments in asked for line in _command(arguments)]


def _command(arguments: Iterable[str]) -> list[str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run(list(arguments))
    told = err.getvalue()
    if status in (0, 1, 2) and "Traceback" not in told:
        return []
    return [f"amends {' '.join(arguments)}: status {status}: {told[-300:]}"]
