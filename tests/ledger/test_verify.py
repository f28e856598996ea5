"""`verify` finds planted damage, each kind of it, and nothing else."""

import asyncio
import re

import pytest

from ledger import findings
from ledger.database import Database, open_database
from ledger.noun import aggregate_id
from ledger.saga_claims import close_saga
from ledger.step_claims import commit_step, start_step
from ledger.verify import verify
from tests.ledger.conftest import Clone
from tests.ledger.writing import (
    AUTHOR,
    BOT,
    WITHIN,
    claim,
    facts,
    hold,
    open_payment,
    register,
    release,
    reserve,
    revoke,
    set_policy,
)

# The aggregate of `intact` that most of the damage is done to; it has four events.
THE_BOT = f"aggregate = '{BOT}'"
EVENTS = 15
AGGREGATES = 8


@pytest.fixture
async def intact(clone: Clone, database: Database) -> Clone:
    """A ledger with a bit of everything, in which `verify` finds nothing."""
    for _ in range(2):
        await register(database)
        await revoke(database)
    await set_policy(database)
    await register(database, "other-bot")
    await open_payment(database)
    await commit_step(database, AUTHOR, claim("hold"), [], hold)
    await start_step(database, AUTHOR, claim("send", ordinal=2), [], facts, within=WITHIN)
    await reserve(database, "a-1", 30_000)
    await reserve(database, "a-2", 40_000)
    await release(database, "a-2", 40_000)
    await revoke(database, "other-bot")
    verified = await clone.verify()
    assert (verified.events, verified.aggregates) == (EVENTS, AGGREGATES)
    assert verified.findings == []
    return clone


def event_copy(version: int, at: str = '"timestamp"', name: str = "aggregate") -> str:
    """SQL that inserts a copy of the bot's second event as another version."""
    return f"""INSERT INTO ledger.event_log (xid, event_id, aggregate_id, aggregate, version,
            event_type, schema_version, "timestamp", user_id, payload, metadata, hash)
        SELECT xid, gen_random_uuid(), aggregate_id, {name}, {version}, event_type,
            schema_version, {at}, user_id, payload, metadata, hash
        FROM ledger.event_log WHERE {THE_BOT} AND version = 2"""


def events(change: str, where: str) -> str:
    return f"UPDATE ledger.event_log SET {change} WHERE {THE_BOT} AND {where}"


def bot(change: str) -> str:
    return f"UPDATE ledger.agents SET {change} WHERE {THE_BOT}"


WINDOW = "UPDATE ledger.spend_windows SET"
LATER = "\"timestamp\" + interval '1 microsecond'"
OTHER_BOT = "agent/other-bot"
STRAY = "agent/stray"
SPENT = "spend window expense-bot/ARS/daily"

DAMAGE: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "a changed state": ([("state", BOT)], [bot("state = 'active'")]),
    "two changed fields": (
        [("state", BOT)],
        [bot("\"user\" = 'thief', agent_id = 'x'")],
    ),
    "a changed JSON column": (
        [("state", "step/payment/rent/hold")],
        ["UPDATE ledger.saga_steps SET result = '{\"held\": 2}' WHERE name = 'hold'"],
    ),
    "a wrong head_hash": ([("head", BOT)], [bot("head_hash = decode(repeat('00', 32), 'hex')")]),
    "a wrong head_at": ([("head", BOT)], [bot("head_at = head_at + interval '1 second'")]),
    "a wrong base": ([("head", BOT)], [bot("base = version")]),
    "a row that is behind": ([("head", BOT)], [bot("version = 3")]),
    "a row that is ahead": ([("events_missing", BOT)], [bot("version = 5")]),
    "the first event deleted": (
        [("version_gap", BOT)],
        [f"DELETE FROM ledger.event_log WHERE {THE_BOT} AND version = 1"],
    ),
    "a middle event deleted": (
        [("version_gap", BOT)],
        [f"DELETE FROM ledger.event_log WHERE {THE_BOT} AND version = 2"],
    ),
    "the last event deleted": (
        [("events_missing", BOT)],
        [f"DELETE FROM ledger.event_log WHERE {THE_BOT} AND version = 4"],
    ),
    "all events of a row deleted": (
        [("events_missing", BOT)],
        [f"DELETE FROM ledger.event_log WHERE {THE_BOT}"],
    ),
    "a row without events": (
        [("events_missing", STRAY)],
        [
            f"""INSERT INTO ledger.agents SELECT '{aggregate_id(STRAY)}', '{STRAY}', version, base,
            head_at, head_hash, xid, 'stray', "user", state FROM ledger.agents WHERE {THE_BOT}"""
        ],
    ),
    "a row deleted": ([("row_missing", BOT)], [f"DELETE FROM ledger.agents WHERE {THE_BOT}"]),
    "events without a row": (
        # It is a copy, so neither its hash nor its first version fits.
        [("row_missing", STRAY), ("unreadable_event", STRAY), ("hash", STRAY)],
        [
            event_copy(1, name=f"'{STRAY}'").replace(
                "SELECT xid, gen_random_uuid(), aggregate_id",
                f"SELECT xid, gen_random_uuid(), '{aggregate_id(STRAY)}'",
            )
        ],
    ),
    "a changed payload that the state shows": (
        [("hash", BOT), ("state", BOT)],
        [events("payload = payload || '{\"user\": \"thief\"}'", "version = 3")],
    ),
    "a changed payload that the state does not show": (
        [("hash", BOT)],
        [events("payload = '{\"reason\": \"other\"}'", "version = 4")],
    ),
    "a changed author": ([("hash", BOT)], [events("user_id = 'user:thief'", "version = 2")]),
    "changed metadata": ([("hash", BOT)], [events("metadata = '{\"ip\": 1.5}'", "version = 2")]),
    "a changed hash": (
        [("hash", BOT)],
        [events("hash = decode(repeat('00', 32), 'hex')", "version = 2")],
    ),
    "a changed last hash": (
        [("hash", BOT)],
        [events("hash = decode(repeat('00', 32), 'hex')", "version = 4")],
    ),
    "a changed time": ([("hash", BOT)], [events(f'"timestamp" = {LATER}', "version = 2")]),
    "a time that runs back": (
        [("hash", BOT), ("order", BOT)],
        [events("\"timestamp\" = date_trunc('month', now(), 'UTC')", "version = 2")],
    ),
    "positions exchanged": (
        [("order", BOT), ("order", BOT)],
        [
            "ALTER TABLE ledger.event_log ALTER position SET GENERATED BY DEFAULT",
            events("position = -position", "version IN (2, 3)"),
        ],
    ),
    "a version twice": ([("version_twice", BOT)], [event_copy(2, at=LATER)]),
    "an event too many": (
        [("head", BOT), ("hash", BOT), ("order", BOT)],
        [event_copy(5)],
    ),
    "an unknown event": (
        [("unreadable_event", BOT), ("hash", BOT)],
        [events("event_type = 'AgentPromoted'", "version = 2")],
    ),
    "an event of a newer version": (
        [("unreadable_event", BOT), ("hash", BOT)],
        [events("schema_version = 2", "version = 2")],
    ),
    "a payload that is no event": (
        [("unreadable_event", BOT), ("hash", BOT)],
        [events("payload = '[]'", "version = 2")],
    ),
    "an unknown noun": (
        [("unknown_noun", "invoice/1"), ("name", "invoice/1"), ("hash", "invoice/1")],
        [
            event_copy(1, name="'invoice/1'").replace(
                "gen_random_uuid(), aggregate_id", "gen_random_uuid(), gen_random_uuid()"
            )
        ],
    ),
    "a renamed row": ([("name", BOT)], [bot("aggregate = 'agent/x'")]),
    "a renamed event": (
        [("name", BOT), ("hash", BOT)],
        [events("aggregate = 'agent/x'", "version = 2")],
    ),
    "a window that is off": ([("spend_window", SPENT)], [f"{WINDOW} amount_minor = 7"]),
    "a window whose count is off": ([("spend_window", SPENT)], [f"{WINDOW} count = 7"]),
    "a window deleted": ([("spend_window", SPENT)], ["DELETE FROM ledger.spend_windows"]),
    "a window of nobody": (
        [("spend_window", "spend window x/ARS/daily")],
        ["INSERT INTO ledger.spend_windows VALUES ('x', 'ARS', 'daily', '2026-01-01', 0, 0)"],
    ),
    "spend that is no number": (
        # The window is off by what the event no longer says.
        [("unreadable_event", "authorization/a-1"), ("hash", "authorization/a-1"),
         ("spend_window", SPENT)],
        [
            "UPDATE ledger.event_log SET payload = jsonb_set(payload, '{spend,0,amount_minor}', "
            "'\"much\"') WHERE aggregate = 'authorization/a-1' AND version = 2"
        ],
    ),
    "steps without their saga": (
        [("saga_missing", f"step/payment/rent/{step}") for step in ("hold", "send")],
        [
            "DELETE FROM ledger.sagas",
            "DELETE FROM ledger.event_log WHERE aggregate = 'saga/payment/rent'",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "damage"), DAMAGE.values(), ids=DAMAGE)
async def test_finds(intact: Clone, found: list[tuple[str, str]], damage: list[str]) -> None:
    await intact.damage(*damage)
    verified = await intact.verify()
    told = sorted((each.kind, _undated(each.where)) for each in verified.findings)
    assert told == sorted(found), verified.findings
    for each in verified.findings:
        assert each.message.startswith(each.where)
        assert each.message.endswith(".")
        assert "thief" not in each.message


def _undated(where: str) -> str:
    """Without the date of today's spend window."""
    return re.sub(r"/\d{4}-\d\d-\d\d$", "", where)


async def test_finds_the_open_step_of_a_saga_that_ended(intact: Clone, database: Database) -> None:
    await close_saga(database, AUTHOR, "payment/rent", 1, "completed", {})
    [found] = (await intact.verify()).findings
    assert (found.kind, found.where) == ("open_step", "step/payment/rent/send")


async def test_names_the_event_from_which_the_damage_shows(intact: Clone) -> None:
    await intact.damage(events("user_id = 'user:thief'", "version = 2"))
    [(position, moment)] = await intact.fetch(
        f'SELECT position, "timestamp" FROM ledger.event_log WHERE {THE_BOT} AND version = 2'
    )
    [found] = (await intact.verify()).findings
    assert (found.position, found.since) == (position, moment)
    assert f"(position {position})" in found.message


async def test_names_the_fields_that_differ(intact: Clone) -> None:
    await intact.damage(bot("\"user\" = 'thief', state = 'active'"))
    [found] = (await intact.verify()).findings
    assert "user, state of its row differ" in found.message


async def test_finds_damage_to_each_state_table(intact: Clone) -> None:
    """Nothing else is needed for a new state table: a stranger in each of them is reported."""
    tables = await intact.fetch(
        "SELECT table_name::text FROM information_schema.columns "
        "WHERE table_schema = 'ledger' AND column_name = 'head_hash'"
    )
    filled = 0
    for (table,) in tables:
        await intact.damage(f"UPDATE ledger.{table} SET head_hash = '\\x00'")
        [(count,)] = await intact.fetch(f"SELECT count(*) FROM ledger.{table}")
        assert isinstance(count, int)
        filled += count
    assert [each.kind for each in (await intact.verify()).findings] == ["head"] * filled
    assert filled == AGGREGATES


async def test_lists_so_many_findings_and_counts_the_rest(
    intact: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MAX_FINDINGS", 2)
    await intact.damage("UPDATE ledger.agents SET agent_id = 'x'", "DELETE FROM ledger.policies")
    verified = await intact.verify()
    assert (len(verified.findings), verified.unlisted) == (2, 1)


async def test_running_writers_do_no_harm(clone: Clone, database: Database) -> None:
    async def write(number: int) -> None:
        for _ in range(10):
            await register(database, f"bot-{number % 3}")
            await reserve(database, f"a-{number}-{_}", 10)

    async with open_database(clone.auditor, size=1) as auditor:
        writing = asyncio.gather(*(write(number) for number in range(6)))
        looks = 0
        while not writing.done():
            assert (await verify(auditor)).findings == []
            looks += 1
        await writing
        assert looks > 1
        assert (await verify(auditor)).events == 60 + 120


async def test_an_empty_ledger_is_clean(clone: Clone) -> None:
    verified = await clone.verify()
    assert (verified.events, verified.aggregates, verified.clean) == (0, 0, True)
