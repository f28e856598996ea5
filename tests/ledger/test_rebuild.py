"""A rebuild makes a table what the log says, and nothing else: rows, rules and the log stay."""

import re
from dataclasses import replace
from typing import cast

import pytest

from ledger.aggregates.agent import AGENT, AgentState
from ledger.aggregates.aggregate import AggregateType, Event, UnknownEvent, aggregate_id
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.audit import projection as retelling
from ledger.audit import rebuild as rebuild_module
from ledger.audit.rebuild import rebuild
from ledger.database import Database
from ledger.errors import LogDamaged, NotFound, NotOwner
from ledger.read import cursors as reading
from tests.ledger.conftest import Clone
from tests.ledger.filling import CATALOG, rows, state_of
from tests.ledger.writing import BOT, open_payment, register

TABLES = sorted(retelling.sources())
ID = aggregate_id(BOT)


@pytest.fixture
def template(filled_template: str) -> str:
    return filled_template


async def test_an_intact_table_stays_as_it_is(clone: Clone) -> None:
    """Row by row, and no row is even written again."""
    everything = "ctid::text, xmin::text, xmax::text, *"
    for table in TABLES:
        before = await rows(clone, table, everything)
        assert before
        rebuilt = await rebuild(clone.owner, table)
        counts = (rebuilt.rows, rebuilt.wrong, rebuilt.missing, rebuilt.strays)
        assert counts == (len(before), 0, 0, 0), table
        assert await rows(clone, table, everything) == before


STRAY = """INSERT INTO ledger.agents SELECT gen_random_uuid(), 'agent/stray', version, base,
    head_at, head_hash, xid, 'stray', "user", state FROM ledger.agents"""
OF_NOBODY = "INSERT INTO ledger.spend_windows VALUES ('x', 'ARS', 'daily', '2026-01-01', 0, 0)"
# name: (table, the damage to it, rows that are wrong, missing and strays then).
DAMAGE: dict[str, tuple[str, tuple[str, ...], tuple[int, int, int]]] = {
    "a changed state": ("agents", ("SET state = 'active'",), (1, 0, 0)),
    "a changed head": (
        "agents",
        ("SET version = 9, base = 8, head_at = now(), head_hash = '\\x00'",),
        (1, 0, 0),
    ),
    "a forged transaction": ("agents", ("SET xid = '3'",), (1, 0, 0)),
    "another name": ("agents", ("SET aggregate = 'agent/x'",), (1, 0, 0)),
    "another id": ("agents", ("SET aggregate_id = gen_random_uuid()",), (0, 1, 1)),
    "a row without events": ("agents", (STRAY,), (0, 0, 1)),
    "a stray and a changed row": ("agents", (STRAY, "SET state = 'active'"), (1, 0, 1)),
    "ids of operations exchanged": (
        "sagas",
        tuple(
            f"SET operation_id = '{new}' WHERE operation_id = '{old}'"
            for old, new in (("rent", "x"), ("other", "rent"), ("x", "other"))
        ),
        (2, 0, 0),
    ),
    "changed JSON": ("resources", ("SET spec = '{\"y\": 1}', outputs = 'null'",), (1, 0, 0)),
    "JSON where there was none": ("saga_steps", ("SET facts = 'null'",), (1, 0, 0)),
    "a window that is off": ("spend_windows", ("SET count = 7",), (1, 0, 0)),
    "a window of nobody": ("spend_windows", (OF_NOBODY,), (0, 0, 1)),
}


@pytest.mark.parametrize(("table", "damage", "counts"), DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_table_is_right_again(
    clone: Clone,
    database: Database,
    table: str,
    damage: tuple[str, ...],
    counts: tuple[int, int, int],
) -> None:
    await open_payment(database, "other")
    before, log, catalog = await state_of(clone, table)
    await clone.damage(*(re.sub("^SET", f"UPDATE ledger.{table} SET", each) for each in damage))
    rebuilt = await rebuild(clone.owner, table)
    assert (rebuilt.wrong, rebuilt.missing, rebuilt.strays) == counts
    assert await state_of(clone, table) == (before, log, catalog)
    assert (await clone.verify()).findings == []


async def test_a_table_that_lost_all_rows_is_right_again(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In stretches that are shorter than the table."""
    monkeypatch.setattr(rebuild_module, "STRETCH", 1)
    monkeypatch.setattr(reading, "AHEAD", 2)
    for table in TABLES:
        before = await state_of(clone, table)
        await clone.damage(f"DELETE FROM ledger.{table}")
        rebuilt = await rebuild(clone.owner, table)
        assert rebuilt.missing == rebuilt.rows > 0
        assert rebuilt.events >= rebuilt.rows
        assert await state_of(clone, table) == before
    assert (await clone.verify()).findings == []


async def test_a_rule_that_always_fires_or_is_off_stays_so(clone: Clone) -> None:
    await clone.execute(
        clone.owner,
        "ALTER TABLE ledger.agents ENABLE ALWAYS TRIGGER stamp_row",
        "ALTER TABLE ledger.agents ENABLE REPLICA TRIGGER require_events",
        "ALTER TABLE ledger.agents DISABLE TRIGGER refuse_delete",
    )
    await clone.execute(clone.owner, "DELETE FROM ledger.agents")
    before = await clone.fetch(CATALOG)
    assert (await rebuild(clone.owner, "agents")).missing == 1
    assert await clone.fetch(CATALOG) == before


async def test_another_table_is_refused_with_those_there_are_and_only_the_owner_rebuilds(
    clone: Clone,
) -> None:
    for table in ("event_log", "incarnations", "alembic_version", "agent", "", "x"):
        with pytest.raises(NotFound, match="agents, authorizations, cases, keys, mandates"):
            await rebuild(clone.owner, table)
    for role in (clone.worker, clone.auditor):
        with pytest.raises(NotOwner, match=r"owns ledger\.agents"):
            await rebuild(role, "agents")


AGENT_1 = f"aggregate = '{BOT}' AND version = 1"
APPROVED = "event_type = 'AuthorizationApproved'"
# (table, where the log is changed, how, what is said of it)
UNREPLAYABLE: list[tuple[str, str, str, type[Exception], str]] = [
    ("agents", AGENT_1, *change)
    for change in (
        ("schema_version = 9", UnknownEvent, "version 9 .* upgrade"),
        ("event_type = 'AgentPromoted'", UnknownEvent, "AgentPromoted .* upgrade"),
        (
            "event_type = 'AgentRevoked', payload = '{}'",
            UnknownEvent,
            "does not fit the state of the agent",
        ),
        ("payload = '{\"secret\": 1}'", LogDamaged, "version 1 of agent/expense-bot"),
        ("version = 7", LogDamaged, "version 2 .* follows version 0"),
        (
            'payload = payload || \'{"user": "a\\nb"}\'',
            LogDamaged,
            f"events of {BOT} fold .* 23514",
        ),
        ("aggregate = 'agent/x'", LogDamaged, "version 1 of agent/x .* does not match its name"),
    )
] + [
    ("spend_windows", APPROVED, *change)
    for change in (
        ("schema_version = 9", UnknownEvent, "version 9 .* upgrade"),
        ("event_type = 'Refunded'", UnknownEvent, "Refunded .* upgrade"),
        ("aggregate = 'invoice/1'", UnknownEvent, "'invoice' is unknown"),
        ("payload = jsonb_set(payload, '{spend,0,count}', '\"x\"')", LogDamaged, "22P02"),
        ("payload = jsonb_set(payload, '{spend,0,window}', '{}')", LogDamaged, "23502"),
        ("payload = jsonb_set(payload, '{spend,0,count}', '-9')", LogDamaged, "23514"),
    )
]


@pytest.mark.parametrize(("table", "where", "change", "error", "match"), UNREPLAYABLE)
async def test_what_cant_be_replayed_stays_as_it_was_right_or_wrong(
    clone: Clone, table: str, where: str, change: str, error: type[Exception], match: str
) -> None:
    await clone.damage(
        "UPDATE ledger.agents SET state = 'active'",
        f"UPDATE ledger.event_log SET {change} WHERE {where}",
    )
    before = await rows(clone, table), await clone.fetch(CATALOG)
    with pytest.raises(error, match=match):
        await rebuild(clone.owner, table)
    assert (await rows(clone, table), await clone.fetch(CATALOG)) == before


async def test_a_fold_that_changed_is_brought_to_every_row(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evolve(state: AgentState | None, event: Event) -> AgentState:
        folded = cast(AgentState, AGENT.evolve(state, event))
        return folded.changed(user="user:" + folded.user.removeprefix("user:"))

    later: AggregateType = replace(AGENT, evolve=evolve)
    for number in range(3):
        await register(database, f"bot-{number}")
    monkeypatch.setitem(AGGREGATE_TYPES, "agent", later)
    assert len((await clone.verify()).findings) == 4
    assert (await rebuild(clone.owner, "agents")).wrong == 4
    assert (await clone.verify()).findings == []
    assert set(await clone.fetch('SELECT "user" FROM ledger.agents')) == {("user:u-17",)}
