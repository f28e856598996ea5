"""One value that a client can't represent, and one event that can't be read, hide nothing else."""

import asyncio
import json

import pytest

from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.identity import NAME_OF
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.database import Database
from ledger.errors import LogDamaged
from ledger.nesting import MAX_DEPTH, is_too_deep
from ledger.read.diff_and_blame import blame, diff
from ledger.read.global_order import START
from ledger.read.log import UNREADABLE, Wanted, log
from ledger.read.point_in_time import Point
from ledger.read.queries import PaymentQuery, payments, sagas
from ledger.read.sagas import saga
from ledger.read.show import show
from ledger.read.snapshot_writer import SnapshotMaker
from ledger.read.subscription import Follower
from ledger.sagas.open_sagas import find_open, open_sagas
from starter.cli.run import run
from tests.ledger.conftest import Clone
from tests.ledger.writing import BOT, open_payment

POISON = {
    "metadata that is no object": ("metadata = '[1]'", "metadata"),
    "metadata of another type": ("metadata = '{\"workflow_id\": 7}'", "metadata"),
    "a payload that is no object": ("payload = '\"x\"'", "payload"),
    "a payload nested thousands deep": (
        "payload = (repeat('[', 4000) || repeat(']', 4000))::jsonb",
        "payload",
    ),
    "a number of thousands of digits": (
        "payload = jsonb_build_object('user', repeat('1', 5000)::numeric)",
        "payload",
    ),
}


@pytest.fixture
def template(intact_template: str) -> str:
    return intact_template


@pytest.fixture
def notes(database: Database) -> list[str]:
    """What readers of the database left out."""
    found: list[str] = []
    database.note = found.append
    return found


async def test_every_column_has_a_bound_of_its_own(clone: Clone) -> None:
    """But for those whose type has none that a client can't represent."""
    unbounded = await clone.fetch(
        "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition AND relname <> 'alembic_version' AND attnum > 0 "
        "AND NOT attisdropped AND atttypid::regtype::text NOT IN ('uuid', 'xid8', 'boolean') "
        "AND NOT EXISTS (SELECT FROM pg_constraint "
        "WHERE conrelid = attrelid AND contype = 'c' AND attnum = ANY (conkey))"
    )
    assert unbounded == [("incarnations", "system_identifier")]


@pytest.mark.parametrize("value", ["infinity", "-infinity", "10000-01-01", "0044-03-15 BC"])
async def test_a_time_that_python_has_not_is_named_and_the_other_rows_are_read(
    clone: Clone, database: Database, notes: list[str], value: str
) -> None:
    await open_payment(database, "other")
    await clone.damage(
        f"UPDATE ledger.sagas SET started_at = '{value}' WHERE operation_id = 'rent'",
        f"UPDATE ledger.authorizations SET requested_at = '{value}' "
        "WHERE aggregate = 'authorization/a-1'",
    )
    listed = await sagas(database, limit=9)
    told = {row["operation_id"]: row.get("unreadable") for row in listed.rows}
    assert told == {"rent": ["started_at"], "other": None}
    asked = (await payments(database, PaymentQuery(), limit=9)).rows
    assert [row.get("unreadable") for row in asked].count(["requested_at"]) == 1
    assert [note.split(" can't")[0] for note in notes] == [
        "started_at of the row of saga/payment/rent",
        "requested_at of the row of authorization/a-1",
    ]
    assert value not in "".join(notes)
    # The sweep goes on behind it, in pages of one.
    told_of: list[str] = []
    pages = open_sagas(database, at_most=1, tell=told_of.append)
    assert [each.workflow_id async for page in pages for each in page] == ["payment/other"]
    assert told_of == notes[:1]
    for refused in (saga(database, "payment/rent"), find_open(database, "payment/rent")):
        with pytest.raises(RowUnreadable, match="started_at of the row of saga/payment/rent"):
            await refused
    assert (await saga(database, "payment/other")).row["operation_id"] == "other"
    found = {(each.kind, each.where) for each in (await clone.verify()).findings}
    assert found == {("state", "saga/payment/rent"), ("state", "authorization/a-1")}


async def test_a_snapshot_made_at_no_time_is_found_and_its_state_still_read(
    clone: Clone, database: Database
) -> None:
    await SnapshotMaker(database, every=2).make()
    await clone.damage(
        f"UPDATE ledger.snapshots SET made_at = 'infinity' "
        f"WHERE aggregate = '{BOT}' AND version = 2"
    )
    [found] = (await clone.verify()).findings
    assert (found.kind, found.where) == ("snapshot", BOT)
    assert "made_at of the snapshot at version 2" in found.message
    assert (await show(database, BOT)).version == 4


@pytest.mark.parametrize("poison", POISON)
async def test_a_poison_event_is_given_as_unreadable_and_the_reader_goes_on(
    clone: Clone, database: Database, notes: list[str], poison: str
) -> None:
    change, column = POISON[poison]
    before = await log(database, limit=99)
    last = before[-1].position
    await clone.damage(
        f"UPDATE ledger.event_log SET {change} WHERE aggregate = '{BOT}' AND version = 2"
    )
    events = await log(database, limit=99)
    assert [event.position for event in events] == [event.position for event in before]
    [unreadable] = [event for event in events if event.unreadable]
    assert (unreadable.event_type, unreadable.unreadable) == (UNREADABLE, (column,))
    assert (unreadable.aggregate, unreadable.version) == (BOT, 2)
    assert json.dumps(unreadable.document(), default=str)
    # The subscription moves past it, and goes on from there.
    follower, followed = Follower(database, after=START), []
    async for event in follower.events():
        followed.append(event)
        if len(followed) == len(before):
            break
    assert [event.event_type == UNREADABLE for event in followed].count(True) == 1
    assert str(follower.token) == events[-1].token
    # Blame and diff tell of it, and of what the other events did.
    assert {each.field for each in await blame(database, BOT)} == {"agent_id", "state", "user"}
    found = await diff(database, BOT, Point(position=1), Point(position=last))
    assert UNREADABLE in [event.event_type for event in found.events]
    if column == "payload":
        assert {f"left out position {unreadable.position}" in note for note in notes} == {True}
        with pytest.raises(LogDamaged, match=f"version 2 of {BOT}"):
            await show(database, BOT)
    kinds = {each.kind for each in (await clone.verify()).findings if each.where == BOT}
    assert kinds == {"unreadable_event", "hash"}
    assert len(await log(database, Wanted(event_types=("AgentRevoked",)), limit=9)) > 0


async def test_the_first_event_may_be_the_poison(clone: Clone, database: Database) -> None:
    await clone.damage(f"UPDATE ledger.event_log SET payload = '1' WHERE aggregate = '{BOT}'")
    for read in (blame(database, BOT), diff(database, BOT, Point(position=0), Point(position=9))):
        with pytest.raises(LogDamaged, match=f"no event of {BOT} can be read"):
            await read


async def test_commands_name_it_on_stderr_and_none_ends_in_a_traceback(
    clone: Clone,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await open_payment(database, "other")
    monkeypatch.setenv("AMENDS_AUDIT_URL", clone.auditor)
    await clone.damage(
        "UPDATE ledger.sagas SET started_at = 'infinity' WHERE operation_id = 'rent'",
        "UPDATE ledger.sagas SET input = '1' WHERE operation_id = 'other'",
        f"UPDATE ledger.event_log SET metadata = '[]' WHERE aggregate = '{BOT}' AND version = 4",
    )
    told = {}
    words = ("sagas", "sagas --json", f"log {BOT}", f"blame {BOT} state", "saga rent", "saga other")
    for arguments in words:
        status = await asyncio.to_thread(run, arguments.split())
        told[arguments] = (status, *capsys.readouterr())
    named = "amends: started_at of the row of saga/payment/rent can't be read: run amends verify\n"
    assert told["sagas"][2] == told["sagas --json"][2] == named
    assert "(unreadable)" in told["sagas"][1]
    [shown, _] = json.loads(told["sagas --json"][1])
    assert (shown["started_at"], shown["unreadable"]) == (None, ["started_at"])
    assert "unreadable (metadata)" in told[f"log {BOT}"][1]
    assert [each[0] for each in told.values()] == [0, 0, 0, 0, 1, 1]
    assert told["saga rent"][2] == named
    assert told["saga other"][2].startswith("amends: input of the row of saga/payment/other can't")


def test_depth_counts_brackets_that_are_no_text() -> None:
    assert not is_too_deep("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert is_too_deep("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert not is_too_deep(json.dumps(["[" * 999, '"' + "{" * 999]))
    assert not is_too_deep(json.dumps([[]] * 999))


def test_each_aggregate_type_has_its_identity() -> None:
    assert NAME_OF.keys() == AGGREGATE_TYPES.keys()
