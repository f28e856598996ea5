"""The database's own rules, attacked in SQL: Python may be wrong without harm.

Each attempt is one transaction over a ledger that holds `agent/expense-bot` at version 1. The first
test shows that the statements are legal where they keep the rules.
"""

import psycopg
import pytest

from ledger.database import Database
from ledger.event_log import event_log
from ledger.noun import aggregate_id
from tests.ledger.conftest import Clone
from tests.ledger.writing import BOT, register, reserve, sqlstate

DENIED = "42501"
ID = aggregate_id(BOT)
OTHER = "agent/nobody"


def event(version: int = 2, aggregate: str = BOT, at: str = "now()", extra: str = "") -> str:
    """SQL that writes an event. now() is when the transaction began: a legal time for it."""
    more, values = extra.split("=") if extra else ("", "")
    return f"""
        INSERT INTO ledger.event_log ({more + "," if more else ""} event_id, aggregate_id,
            aggregate, version, event_type, schema_version, "timestamp", user_id, payload,
            metadata, hash)
        VALUES ({values + "," if more else ""} gen_random_uuid(), '{aggregate_id(aggregate)}',
            '{aggregate}', {version}, 'AgentRevoked', 1, {at}, 'user:x', '{{}}', '{{}}',
            decode(repeat('00', 32), 'hex'))"""


def row(version: int = 2, at: str = "now()", change: str = "") -> str:
    """SQL that moves the state row of the agent."""
    change = f", {change}" if change else ""
    return f"""UPDATE ledger.agents SET version = {version}, head_at = {at}{change}
        WHERE aggregate_id = '{ID}'"""


def new_row(aggregate: str = OTHER, version: int = 1) -> str:
    """SQL that writes the state row of another agent."""
    return f"""INSERT INTO ledger.agents VALUES ('{aggregate_id(aggregate)}', '{aggregate}',
        {version}, 0, now(), decode(repeat('00', 32), 'hex'), '3', 'nobody', 'u', 'active')"""


@pytest.fixture
async def held(clone: Clone, ledger: Database) -> Clone:
    """A ledger with one agent and one spend window; `verify` finds nothing after the attempts."""
    await register(ledger)
    await reserve(ledger, "a-1", 100)
    return clone


@pytest.fixture
async def damaged(clone: Clone, database: Database) -> Clone:
    """The same, and nobody verifies it."""
    await register(database)
    return clone


LEGAL = {
    "a row and its event": [row(), event()],
    "an event and then its row": [event(), row()],
    "two events and their row": [event(2), event(3), row(3)],
    "a new row and its event": [new_row(), event(1, OTHER)],
    "the events of two aggregates": [row(), event(), new_row(), event(1, OTHER)],
}


@pytest.mark.parametrize("statements", LEGAL.values(), ids=LEGAL)
async def test_a_row_with_exactly_its_events_is_accepted(
    damaged: Clone, statements: list[str]
) -> None:
    await damaged.execute(damaged.worker, *statements)
    events = sum("event_log" in statement for statement in statements)
    assert await damaged.fetch("SELECT count(*) FROM ledger.event_log") == [(1 + events,)]
    assert await damaged.fetch("SELECT sum(version) FROM ledger.agents") == [(1 + events,)]


STATE_WITHOUT_EVENT = {
    "no event at all": ("ZA004", [row()]),
    "a new row with no event": ("ZA004", [new_row()]),
    "fewer events than versions": ("ZA004", [row(3), event(3)]),
    "the first event missing": ("ZA004", [new_row(version=2), event(2, OTHER)]),
    "an event of another version": ("ZA004", [row(), event(3)]),
    "an event of another aggregate": ("ZA004", [row(), new_row(), event(1, OTHER)]),
    "an event of another time": ("ZA004", [row(at="clock_timestamp()"), event()]),
    "the same version again": ("ZA003", [row(1)]),
    "a lower version": ("ZA003", [row(0)]),
    "a time before the transaction": ("ZA003", [row(at="now() - interval '1 second'"), event()]),
    "a time to come": ("ZA003", [row(at="now() + interval '1 hour'"), event()]),
    "the row written twice": ("ZA003", [row(), row(3), event(2), event(3)]),
    "the row made and then changed": (
        "ZA003",
        [new_row(), f"UPDATE ledger.agents SET version = 2 WHERE aggregate = '{OTHER}'"],
    ),
    "another name": ("ZA003", [row(change=f"aggregate = '{OTHER}'"), event()]),
    "another id": ("ZA003", [row(change=f"aggregate_id = '{aggregate_id(OTHER)}'"), event()]),
    "a row in the table of another noun, with the event of the first": (
        "ZA003",
        [
            new_row(),
            f"INSERT INTO ledger.policies SELECT '{aggregate_id(OTHER)}', '{OTHER}', 1, 0, now(), "
            "decode(repeat('00', 32), 'hex'), '3', 'nobody', 'ARS', 1, 1, 1, 'UTC'",
            event(1, OTHER),
        ],
    ),
    "a forged transaction id and base": ("ZA004", [row(3, change="xid = '3', base = 2"), event(3)]),
}


@pytest.mark.parametrize(
    ("refusal", "statements"), STATE_WITHOUT_EVENT.values(), ids=STATE_WITHOUT_EVENT
)
async def test_no_state_without_its_events(
    held: Clone, refusal: str, statements: list[str]
) -> None:
    await _refused(held, "worker", refusal, *statements)


EVENT_WITHOUT_STATE = {
    "no row was written": ("ZA005", [event()]),
    "there is no such aggregate": ("ZA005", [event(1, OTHER)]),
    "an old version in a legal commit": ("ZA005", [row(), event(2), event(1)]),
    "a version beyond the row": ("ZA005", [event(3), row(), event(2)]),
    "one version twice in a legal commit": ("23505", [row(), event(2), event(2)]),
    "one version at two times in a legal commit": (
        "ZA005",
        [row(), event(2), event(2, at="now() + interval '1 second'")],
    ),
    "a forged time in a legal commit": (
        "ZA005",
        [event(3, at="now() + interval '1 second'"), event(2), row(3)],
    ),
    "a time in the past": ("ZA005", [event(2, at="date_trunc('month', now(), 'UTC')")]),
    "a time for which there is no partition": ("23514", [event(2, at="'2020-01-01'")]),
    "an aggregate of no noun": ("ZA001", [event(1, "payment/x")]),
    "a name that is not of the row": (
        "ZA005",
        [event().replace(f"'{BOT}'", "'agent/x'"), row()],
    ),
}


@pytest.mark.parametrize(
    ("refusal", "statements"), EVENT_WITHOUT_STATE.values(), ids=EVENT_WITHOUT_STATE
)
async def test_no_event_without_its_state(held: Clone, refusal: str, statements: list[str]) -> None:
    await _refused(held, "worker", refusal, *statements)


async def test_a_commit_does_not_adopt_an_event_of_another(damaged: Clone) -> None:
    # Only past the rules can an event wait for its row: the worker now writes a row that fits it.
    tomorrow = "now() + interval '1 day'"
    planted = event(2, at=tomorrow, extra="xid='3'")
    await damaged.damage(f"UPDATE ledger.agents SET head_at = {tomorrow}", planted)
    await _refused(damaged, "worker", "ZA004", row(at="head_at"))


async def test_a_commit_does_not_replace_an_event_of_another(damaged: Clone) -> None:
    await damaged.damage("DELETE FROM ledger.event_log")
    head_at = f"(SELECT head_at FROM ledger.agents WHERE aggregate_id = '{ID}')"
    await _refused(damaged, "worker", "ZA005", event(1, at=head_at))


async def test_the_time_of_an_aggregate_does_not_run_back(damaged: Clone) -> None:
    # As when the clock steps back, or another commit was quicker than this transaction.
    await damaged.damage("UPDATE ledger.agents SET head_at = now() + interval '1 hour'")
    await _refused(damaged, "worker", "ZA003", row(), event())


@pytest.mark.parametrize("zone", ["<UTC>+5", "<UTC>-5", "Asia/Kolkata"])
async def test_the_months_are_those_of_utc_whatever_zone_the_caller_is_in(
    held: Clone, zone: str
) -> None:
    await held.execute(
        held.worker,
        "SET LOCAL DateStyle = 'SQL'",
        f"SET LOCAL TimeZone = '{zone}'",
        "SELECT ledger.create_partitions(6)",
    )
    bounds = await held.fetch(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class "
        "WHERE relispartition AND relkind = 'r' ORDER BY relname"
    )
    assert len(bounds) == 7
    for (bound,) in bounds:
        assert str(bound).count("-01 00:00:00+00") == 2


NOT_GRANTED_TO_THE_WORKER = {
    "update an event": "UPDATE ledger.event_log SET payload = '{}'",
    "delete an event": "DELETE FROM ledger.event_log",
    "truncate the log": "TRUNCATE ledger.event_log",
    "insert a position": event(extra="position=7").replace(
        "VALUES", "OVERRIDING SYSTEM VALUE VALUES"
    ),
    "insert a transaction id": event(extra="xid='3'"),
    "copy a position": "COPY ledger.event_log (position, version) FROM STDIN",
    "copy a transaction id": "COPY ledger.event_log (xid, version) FROM STDIN",
    "insert into a partition": event().replace("event_log (", "{partition} ("),
    "truncate a partition": "TRUNCATE ledger.{partition}",
    "detach a partition": "ALTER TABLE ledger.event_log DETACH PARTITION ledger.{partition}",
    "delete a row": "DELETE FROM ledger.agents",
    "truncate a state table": "TRUNCATE ledger.agents",
    "delete a spend window": "DELETE FROM ledger.spend_windows",
    "disable a trigger": "ALTER TABLE ledger.agents DISABLE TRIGGER stamp_row",
    "disable all triggers": "SET session_replication_role = replica",
    "drop a trigger": "DROP TRIGGER require_row ON ledger.event_log",
    "replace a rule": "CREATE OR REPLACE FUNCTION ledger.require_row() RETURNS trigger "
    "LANGUAGE sql RETURN NULL",
    "create in the schema": "CREATE TABLE ledger.mine (x int)",
    "make a partition of its own": "SELECT ledger.create_partition('2031-01-01')",
    "call the guard": "CALL ledger.guard_state_table('agents', 'agent')",
    "forge an incarnation": "INSERT INTO ledger.incarnations (restored_position) VALUES (9)",
    "forge the schema's version": "UPDATE ledger.alembic_version SET version_num = '0'",
    "become the owner": "SET ROLE amends_owner",
}


@pytest.mark.parametrize(
    "statement", NOT_GRANTED_TO_THE_WORKER.values(), ids=NOT_GRANTED_TO_THE_WORKER
)
async def test_the_worker_may_not(held: Clone, statement: str) -> None:
    [(partition,)] = await held.fetch(
        "SELECT tableoid::regclass::text FROM ledger.event_log LIMIT 1"
    )
    assert isinstance(partition, str)
    name = partition.removeprefix("ledger.")
    await _refused(held, "worker", DENIED, statement.replace("{partition}", name))


REFUSED_TO_THE_OWNER = [
    "UPDATE ledger.event_log SET payload = payload",
    "DELETE FROM ledger.event_log",
    "TRUNCATE ledger.event_log",
    "DELETE FROM ledger.agents",
    "TRUNCATE ledger.agents",
    "DELETE FROM ledger.spend_windows",
    "TRUNCATE ledger.spend_windows",
    "MERGE INTO ledger.agents a USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    "MERGE INTO ledger.event_log USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
]


@pytest.mark.parametrize("statement", REFUSED_TO_THE_OWNER)
async def test_the_ledger_only_grows_even_for_its_owner(held: Clone, statement: str) -> None:
    await _refused(held, "owner", "ZA002", statement)


async def test_no_partition_is_changed_or_truncated_even_by_the_owner(held: Clone) -> None:
    partitions = await held.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = 'ledger.event_log'::regclass"
    )
    assert len(partitions) == 4
    for (partition,) in partitions:
        await _refused(held, "owner", "ZA002", f"TRUNCATE {partition}")
    [(used,)] = await held.fetch("SELECT DISTINCT tableoid::regclass::text FROM ledger.event_log")
    await _refused(held, "owner", "ZA002", f"DELETE FROM {used}")
    await _refused(held, "owner", "ZA002", f"UPDATE {used} SET payload = payload")


@pytest.mark.parametrize(
    "statement",
    [
        new_row(),
        event(),
        row(),
        "DELETE FROM ledger.agents",
        "UPDATE ledger.spend_windows SET count = 0",
        "SELECT ledger.create_partitions(1)",
        "CREATE TABLE ledger.mine (x int)",
        "SET ROLE amends_worker",
    ],
)
async def test_the_auditor_may_not(held: Clone, statement: str) -> None:
    await _refused(held, "auditor", DENIED, statement)


async def test_the_auditor_reads_every_table(held: Clone) -> None:
    tables = await held.fetch(
        "SELECT oid::regclass::text FROM pg_class "
        "WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition"
    )
    assert len(tables) >= 11
    for (table,) in tables:
        await held.fetch(f"SELECT FROM {table}")


async def test_nothing_else_is_granted(held: Clone) -> None:
    """The whole list, so that a new grant has to be written down here."""
    states = ["agents", "authorizations", "policies", "resources", "saga_steps", "sagas"]
    states += ["spend_windows", "transfers"]
    assert await held.fetch(
        "SELECT grantee::regrole::text, privilege_type, array_agg(relname::text ORDER BY relname) "
        "FROM pg_class, aclexplode(relacl) WHERE relnamespace = 'ledger'::regnamespace "
        "AND grantee <> relowner AND privilege_type <> 'SELECT' GROUP BY 1, 2 ORDER BY 1, 2"
    ) == [("amends_worker", "INSERT", states), ("amends_worker", "UPDATE", states)]
    [(role, privilege, columns)] = await held.fetch(
        "SELECT grantee::regrole::text, privilege_type, array_agg(attname::text) "
        "FROM pg_attribute, aclexplode(attacl) WHERE attrelid = 'ledger.event_log'::regclass "
        "GROUP BY 1, 2"
    )
    assert (role, privilege) == ("amends_worker", "INSERT")
    assert isinstance(columns, list)
    assert set(columns) == {c.name for c in event_log.c} - {"position", "xid"}


async def _refused(clone: Clone, role: str, refusal: str, *statements: str) -> None:
    before = await _content(clone)
    with pytest.raises(psycopg.Error) as raised:
        await clone.execute(getattr(clone, role), *statements)
    assert sqlstate(raised.value) == refusal, raised.value
    assert await _content(clone) == before


async def _content(clone: Clone) -> list[tuple[object, ...]]:
    return await clone.fetch(
        "SELECT (SELECT array_agg(e::text) FROM ledger.event_log e), "
        "(SELECT array_agg(a::text) FROM ledger.agents a), "
        "(SELECT array_agg(w::text) FROM ledger.spend_windows w)"
    )
