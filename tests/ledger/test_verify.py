"""`verify` finds planted damage, each kind of it, and nothing else."""

import re
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest

from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.saga_step import StepCommitted, StepUndone
from ledger.aggregates.transfer import TransferReversed
from ledger.audit import findings
from ledger.audit.verify import CANNOT_DETECT
from ledger.database import Database
from ledger.read.snapshot_writer import SnapshotMaker
from ledger.sagas.saga_log import close_saga
from ledger.sagas.step_log import undo_step
from ledger.store.commit import Decision
from tests.ledger.attacks.stories import Payment, tell
from tests.ledger.conftest import BOUNDS_ON, EVENT_ID, Clone
from tests.ledger.writing import AUTHOR, BOT, claim, compensate, write

DOCUMENT = (Path(__file__).parents[2] / "docs" / "verify.md").read_text()
# The aggregate of `clone` that most of the damage is done to; it has four events.
THE_BOT = f"aggregate = '{BOT}'"
AGGREGATES = 7


@pytest.fixture
def template(intact_template: str) -> str:
    return intact_template


def event_copy(
    version: int, at: str = '"timestamp"', name: str = "aggregate", id: str = "aggregate_id"
) -> str:
    """SQL that inserts a copy of the bot's second event as another version."""
    return f"""INSERT INTO ledger.event_log (xid, event_id, aggregate_id, aggregate, version,
            event_type, schema_version, "timestamp", user_id, payload, metadata, hash)
        SELECT xid, {EVENT_ID.format(id, version)}, {id}, {name}, {version}, event_type,
            schema_version, {at}, user_id, payload, metadata, hash
        FROM ledger.event_log WHERE {THE_BOT} AND version = 2"""


# More digits than `int` takes from a text.
HUGE = "repeat('1', 5000)::numeric"


def event(version: int, change: str) -> str:
    return f"UPDATE ledger.event_log SET {change} WHERE {THE_BOT} AND version = {version}"


def deleted(version: int) -> str:
    return f"DELETE FROM ledger.event_log WHERE {THE_BOT} AND version = {version}"


def bot(change: str) -> str:
    return f"UPDATE ledger.agents SET {change} WHERE {THE_BOT}"


WINDOW = "UPDATE ledger.spend_windows SET"
LATER = "\"timestamp\" + interval '1 microsecond'"
# Within the slack of a clock, or the next month begins before it does.
SOON = "date_trunc('minute', now(), 'UTC') + interval '5 minutes'"
# A partition is checked when it is attached, unless a constraint claims that it was checked before.
MOVED = f"""DO $$
    DECLARE
        first timestamptz := date_trunc('month', now() + interval '1 month', 'UTC');
        after timestamptz := date_trunc('month', now() + interval '2 months', 'UTC');
        name text := 'ledger.event_log_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
        fits text := format('"timestamp" IS NOT NULL AND "timestamp" >= %L AND "timestamp" < %L',
            first, after);
    BEGIN
        EXECUTE 'ALTER TABLE ledger.event_log DETACH PARTITION ' || name;
        EXECUTE 'INSERT INTO ' || name
            || $q$ SELECT * FROM ledger.event_log WHERE {THE_BOT} AND version = 4$q$;
        DELETE FROM ledger.event_log WHERE {THE_BOT} AND version = 4;
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT fits CHECK (%s) NOT VALID', name, fits);
        UPDATE pg_constraint SET convalidated = true WHERE conname = 'fits';
        EXECUTE format('ALTER TABLE ledger.event_log ATTACH PARTITION %s '
            'FOR VALUES FROM (%L) TO (%L)', name, first, after);
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT fits', name);
    END $$"""
OTHER_BOT = "agent/other-bot"
STRAY = "agent/stray"
SPENT = "spend window expense-bot/ARS/daily"

Found = list[tuple[str, str]]


def at(where: str, kinds: str) -> Found:
    return [(kind, where) for kind in kinds.split()]


# name: the findings, by their kinds alone where they are about the bot, and the statements.
DAMAGE: dict[str, tuple[str | Found, *tuple[str, ...]]] = {
    "a changed state": ("state", bot("state = 'active'")),
    "two changed fields": ("state", bot("\"user\" = 'thief', agent_id = 'x'")),
    "a changed JSON column": (
        at("step/payment/rent/hold", "state"),
        "UPDATE ledger.saga_steps SET result = '{\"held\": 2}' WHERE name = 'hold'",
    ),
    "a wrong head_hash": ("head", bot("head_hash = decode(repeat('00', 32), 'hex')")),
    "a wrong head_at": ("head", bot("head_at = head_at + interval '1 second'")),
    "a wrong base": ("head", bot("base = version")),
    "a base before another commit": ("head", bot("base = 1")),
    "a wrong transaction": ("head", bot("xid = '3'")),
    "a row that is behind": ("head", bot("version = 3")),
    "a row that is ahead": ("events_missing", bot("version = 5")),
    "the first event deleted": ("version_gap", deleted(1)),
    "a middle event deleted": ("version_gap", deleted(2)),
    "the last event deleted": ("events_missing", deleted(4)),
    "all events of a row deleted": (
        "events_missing",
        f"DELETE FROM ledger.event_log WHERE {THE_BOT}",
    ),
    "a row without events": (
        at(STRAY, "events_missing"),
        f"""INSERT INTO ledger.agents SELECT '{aggregate_id(STRAY)}', '{STRAY}', version, base,
            head_at, head_hash, xid, 'stray', "user", state FROM ledger.agents WHERE {THE_BOT}""",
    ),
    "a row deleted": ("row_missing", f"DELETE FROM ledger.agents WHERE {THE_BOT}"),
    # It is a copy, so neither its hash nor its first version fits.
    "events without a row": (
        at(STRAY, "row_missing unreadable_event hash"),
        event_copy(1, name=f"'{STRAY}'", id=f"'{aggregate_id(STRAY)}'::uuid"),
    ),
    "a changed payload that the state shows": (
        "hash state",
        event(3, 'payload = payload || \'{"user": "thief"}\''),
    ),
    "a changed payload that the state does not show": (
        "hash",
        event(4, 'payload = \'{"reason": "other"}\''),
    ),
    "a changed author": ("hash", event(2, "user_id = 'user:thief'")),
    "changed metadata": ("hash", event(2, "metadata = '{\"ip\": 1.5}'")),
    "a changed hash": ("hash", event(2, "hash = decode(repeat('00', 32), 'hex')")),
    "a changed last hash": ("hash", event(4, "hash = decode(repeat('00', 32), 'hex')")),
    "a changed time": ("hash", event(2, f'"timestamp" = {LATER}')),
    "a time that runs back": (
        "hash order",
        event(2, "\"timestamp\" = date_trunc('month', now(), 'UTC')"),
    ),
    "positions exchanged": (
        "order order",
        "ALTER TABLE ledger.event_log ALTER position SET GENERATED BY DEFAULT",
        f"UPDATE ledger.event_log SET position = -position WHERE {THE_BOT} AND version IN (2, 3)",
        "ALTER TABLE ledger.event_log ALTER position SET GENERATED ALWAYS",
    ),
    # Nothing but the time of the last event and of its row: the hash tells it too.
    "a time to come": ("future hash", event(4, f'"timestamp" = {SOON}'), bot(f"head_at = {SOON}")),
    "a transaction to come": (
        "transaction",
        event(4, "xid = '4611686018427387904'"),
        bot("xid = '4611686018427387904'"),
    ),
    "an event in the partition of another month": ("partition", BOUNDS_ON, MOVED),
    "an event of no saga": (
        [("saga_missing", "saga/payment/none"), ("hash", BOT)],
        event(2, "saga_id = 'payment/none'"),
    ),
    "a version twice": ("version_twice", event_copy(2, at=LATER)),
    # Each of them may be the one that the next links to: that must not double with each.
    "a version thirty times": (
        "version_twice " * 29,
        *[
            event_copy(2, at=f"\"timestamp\" + interval '{number} microseconds'").replace(
                "version = 2", "version = 2 AND hash <> 'x' ORDER BY position LIMIT 1"
            )
            for number in range(1, 30)
        ],
    ),
    "a row of its id in another table too": (
        "name",
        f"""INSERT INTO ledger.policies SELECT aggregate_id, aggregate, version, base, head_at,
            head_hash, xid, 'x', 'ARS', 1, 1, 1, 'UTC', '{{}}' FROM ledger.agents
            WHERE {THE_BOT}""",
    ),
    "an event too many": ("head hash order", event_copy(5)),
    "an unknown event": ("unreadable_event hash", event(2, "event_type = 'AgentPromoted'")),
    "an event of a newer version": ("unreadable_event hash", event(2, "schema_version = 2")),
    "a payload that is no event": ("unreadable_event hash", event(2, "payload = '[]'")),
    "an integer that Python reads no more": (
        "unreadable_event hash",
        event(2, f"payload = jsonb_build_object('user', {HUGE})"),
    ),
    "such an integer outside the payload": (
        "unreadable_event hash",
        event(2, f"metadata = jsonb_build_object('ip', {HUGE})"),
    ),
    "such an integer in a row": (
        at("saga/payment/rent", "state"),
        f"UPDATE ledger.sagas SET input = jsonb_build_object('n', {HUGE})",
    ),
    "an unknown aggregate_type": (
        at("invoice/1", "unknown_aggregate_type name hash"),
        event_copy(1, name="'invoice/1'", id=f"'{UUID(int=1)}'::uuid"),
    ),
    "another id of an event": ("event_id hash", event(2, "event_id = gen_random_uuid()")),
    "an aggregate_id so near that its events would have the same ids": (
        at("agent/x", "event_id name hash unreadable_event row_missing"),
        event_copy(1, name="'agent/x'", id=f"'{str(aggregate_id(BOT))[:-1]}f'::uuid"),
    ),
    "an identity of another": (
        at("agent/other-bot", "state identity hash"),
        """UPDATE ledger.event_log SET payload = jsonb_set(payload, '{agent_id}', '"expense-bot"')
            WHERE aggregate = 'agent/other-bot' AND version = 1""",
    ),
    "an operation id of another": (
        at("saga/payment/rent", "state identity hash"),
        """UPDATE ledger.event_log SET payload = jsonb_set(payload, '{operation_id}', '"victim"')
            WHERE aggregate = 'saga/payment/rent' AND version = 1""",
    ),
    "metadata that is no object": ("unreadable_event hash", event(2, "metadata = '[]'")),
    "metadata of another type": ("unreadable_event hash", event(2, "metadata = '{\"run_id\": 1}'")),
    "a payload nested thousands deep": (
        "unreadable_event hash",
        event(2, "payload = (repeat('[', 4000) || repeat(']', 4000))::jsonb"),
    ),
    "times that Python has not": (
        [("head", BOT), ("state", "saga/payment/rent"), ("state", "authorization/a-1")],
        bot("head_at = '-infinity'"),
        "UPDATE ledger.sagas SET started_at = 'infinity', waits_since = '12000-01-01'",
        "UPDATE ledger.authorizations SET expires_at = '0100-01-01 BC' "
        "WHERE aggregate = 'authorization/a-1'",
    ),
    "a year before Christ in place of ours": (
        "head",
        bot(
            "head_at = (to_char(head_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
            " || '+00 BC')::timestamptz"
        ),
    ),
    "a transaction id beyond all integers": ("head", bot("xid = '18446744073709551615'")),
    "a renamed row": ("name", bot("aggregate = 'agent/x'")),
    "a renamed event": ("name hash", event(2, "aggregate = 'agent/x'")),
    "a window that is off": (at(SPENT, "spend_window"), f"{WINDOW} amount_minor = 7"),
    "a window whose count is off": (at(SPENT, "spend_window"), f"{WINDOW} count = 7"),
    "a window deleted": (at(SPENT, "spend_window"), "DELETE FROM ledger.spend_windows"),
    "a window of nobody": (
        at("spend window x/ARS/daily", "spend_window"),
        "INSERT INTO ledger.spend_windows VALUES ('x', 'ARS', 'daily', '2026-01-01', 0, 0)",
    ),
    "a restored position beyond the log": (
        at("incarnation 1", "mark"),
        "UPDATE ledger.incarnations SET restored_position = 9007199254740991",
    ),
    "a past that is closed until a time to come": (
        at("closed past", "mark"),
        "UPDATE ledger.closed_past SET until = '9999-12-30'",
    ),
    # The window is off by what the event no longer says.
    "spend that is no number": (
        [*at("authorization/a-1", "unreadable_event hash"), ("spend_window", SPENT)],
        "UPDATE ledger.event_log SET payload = jsonb_set(payload, '{spend,0,amount_minor}', "
        "'\"much\"') WHERE aggregate = 'authorization/a-1' AND version = 2",
    ),
    "steps without their saga": (
        [
            *[("saga_missing", f"step/payment/rent/{step}") for step in ("hold", "send")],
            ("saga_end", "authorization/a-1"),
        ],
        "DELETE FROM ledger.sagas",
        "DELETE FROM ledger.event_log WHERE aggregate = 'saga/payment/rent'",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
async def test_finds(clone: Clone, name: str) -> None:
    found, *damage = DAMAGE[name]
    await clone.damage(*damage)
    verified = await clone.verify()
    told = sorted((each.kind, _undated(each.where)) for each in verified.findings)
    assert told == sorted(at(BOT, found) if isinstance(found, str) else found), verified.findings
    for each in verified.findings:
        assert each.message.startswith(each.where)
        assert each.message.endswith(".")
        assert "thief" not in each.message


def _undated(where: str) -> str:
    """Without the date of today's spend window."""
    return re.sub(r"/\d{4}-\d\d-\d\d$", "", where)


async def test_finds_wrong_snapshots(clone: Clone, database: Database) -> None:
    await SnapshotMaker(database, every=2).make()
    assert (await clone.verify()).clean
    await clone.damage(
        f"UPDATE ledger.snapshots SET state = '{{}}' WHERE {THE_BOT} AND version = 2",
        f"UPDATE ledger.snapshots SET version = 5 WHERE {THE_BOT} AND version = 4",
    )
    first, second = (await clone.verify()).findings
    assert (first.kind, first.where) == (second.kind, second.where) == ("snapshot", BOT)
    assert "state of the snapshot at version 2" in first.message
    assert "at version 5 and no such event" in second.message


async def test_finds_steps_that_contradict_their_saga_and_the_open_one_of_a_saga_that_ended(
    clone: Clone, database: Database
) -> None:
    late = StepCommitted(**claim("late", epoch=2).columns(), result={})
    await write(database, "step/payment/rent/late", late)
    await write(database, "step/payment/rent/hold", StepUndone(note="nobody asked"))
    contradict = {"step/payment/rent/late": "step", "step/payment/rent/hold": "step"}
    assert {each.where: each.kind for each in (await clone.verify()).findings} == contradict
    await close_saga(database, AUTHOR, "payment/rent", 1, "completed", {})
    found = [(each.kind, each.where) for each in (await clone.verify()).findings]
    assert ("open_step", "step/payment/rent/send") in found
    # Its authorization is of another result.
    assert [kind for kind, _ in found] == ["step", "step", "open_step", "saga_end"]


async def test_finds_a_step_that_stands_though_its_saga_was_compensated(
    clone: Clone, database: Database
) -> None:
    await compensate(database)
    sent, released = claim("send", epoch=2, ordinal=2), StepUndone(note="released")
    await undo_step(database, AUTHOR, sent, [], lambda _: Decision(released))
    assert (await clone.verify()).clean
    await close_saga(database, AUTHOR, "payment/rent", 2, "compensated", {})
    found, *others = (await clone.verify()).findings
    assert (found.kind, found.where) == ("step", "step/payment/rent/hold")
    assert {each.kind for each in others} == {"saga_end"}


async def test_names_the_event_from_which_damage_shows_and_the_fields_that_differ(
    clone: Clone,
) -> None:
    await clone.damage(event(2, "user_id = 'user:thief'"))
    [(position, moment)] = await clone.fetch(
        f'SELECT position, "timestamp" FROM ledger.event_log WHERE {THE_BOT} AND version = 2'
    )
    [found] = (await clone.verify()).findings
    assert (found.position, found.since) == (position, moment)
    assert f"(position {position})" in found.message
    await clone.damage(bot("\"user\" = 'thief', state = 'active'"))
    [_, found] = sorted((await clone.verify()).findings, key=lambda each: each.kind)
    assert "user, state of the state row differ" in found.message


async def test_finds_damage_to_each_state_table(clone: Clone) -> None:
    """Nothing else is needed for a new state table: a stranger in each of them is reported."""
    tables = await clone.fetch(
        "SELECT table_name::text FROM information_schema.columns "
        "WHERE table_schema = 'ledger' AND column_name = 'head_hash'"
    )
    names = [str(table) for (table,) in tables]
    await clone.damage(*(f"UPDATE ledger.{name} SET head_hash = '\\x00'" for name in names))
    counts = [await clone.fetch(f"SELECT FROM ledger.{name}") for name in names]
    assert [each.kind for each in (await clone.verify()).findings] == ["head"] * AGGREGATES
    assert sum(map(len, counts)) == AGGREGATES


async def test_lists_so_many_findings_and_counts_the_rest(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MAX_FINDINGS", 1)
    await clone.damage("UPDATE ledger.agents SET agent_id = 'x'", "DELETE FROM ledger.policies")
    verified = await clone.verify()
    assert [each.kind for each in verified.findings] == ["state", "row_missing"]
    assert verified.unlisted == 1


async def test_a_wrong_reason_hides_no_contradiction(clone: Clone, database: Database) -> None:
    payment = Payment("captured")
    await tell(database, payment.captured())
    await tell(database, [(payment.transfer, TransferReversed(reference="M-2"))])
    expected = [("money", payment.hold)]
    assert [(each.kind, each.where) for each in (await clone.verify()).findings] == expected
    changed = "UPDATE ledger.transfers SET {} WHERE transfer_id = 't-captured'"
    await clone.damage(changed.format("reason = 'ours'"))
    expected.append(("state", payment.transfer))
    found = (await clone.verify()).findings
    assert sorted((each.kind, each.where) for each in found) == expected
    [money] = [each for each in found if each.kind == "money"]
    assert "it is captured, and its transfer is reversed since" in money.message
    # What the law reads can't be judged by a row that is wrong.
    await clone.damage(changed.format("state = 'executed'"))
    assert [each.kind for each in (await clone.verify()).findings] == ["state"]


def test_every_kind_of_finding_is_described() -> None:
    told = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", DOCUMENT, re.MULTILINE)))
    assert set(told) == set(get_args(findings.Kind))
    for what in CANNOT_DETECT:
        assert what[:20].lower() in DOCUMENT.lower()
