"""The database's own rules: what a role has, and that every partition is under them.

What is refused is in rules/.
"""

import psycopg
import pytest

from ledger.database import Database
from ledger.store.event_log import event_log
from tests.ledger.conftest import Clone
from tests.ledger.writing import register, reserve, sqlstate


@pytest.fixture
async def held(clone: Clone, ledger: Database) -> Clone:
    """A ledger with one agent and one spend window; `verify` finds nothing after the attempts."""
    await register(ledger)
    await reserve(ledger, "a-1", 100)
    return clone


async def test_no_partition_is_changed_or_truncated_even_by_the_owner(held: Clone) -> None:
    partitions = await held.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = 'ledger.event_log'::regclass"
    )
    assert len(partitions) == 4
    [(used,)] = await held.fetch("SELECT DISTINCT tableoid::regclass::text FROM ledger.event_log")
    changes = [f"TRUNCATE {partition}" for (partition,) in partitions]
    changes += [f"DELETE FROM {used}", f"UPDATE {used} SET payload = payload"]
    content = """SELECT e::text, a::text, w::text
        FROM ledger.event_log e, ledger.agents a, ledger.spend_windows w ORDER BY e.position"""
    before = await held.fetch(content)
    for change in changes:
        with pytest.raises(psycopg.Error) as refused:
            await held.execute(held.owner, change)
        assert sqlstate(refused.value) == "ZA002", refused.value
    assert await held.fetch(content) == before


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


async def test_the_auditor_reads_every_table_and_nothing_else_is_granted(held: Clone) -> None:
    tables = await held.fetch(
        "SELECT oid::regclass::text FROM pg_class "
        "WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition"
    )
    assert len(tables) >= 11
    for (table,) in tables:
        await held.fetch(f"SELECT FROM {table}")
    # The whole list, so that a new grant has to be written down here.
    states = ["agents", "authorizations", "policies", "resources", "saga_steps", "sagas"]
    states += ["snapshots", "spend_windows", "transfers"]
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
