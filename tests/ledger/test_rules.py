"""The database's own rules: what a role has, and the months of the partitions.

What is refused is in rules/.
"""

import pytest

from ledger.store.event_log import event_log
from tests.ledger.conftest import Clone


@pytest.mark.parametrize("zone", ["<UTC>+5", "<UTC>-5", "Asia/Kolkata"])
async def test_the_months_are_those_of_utc_whatever_zone_the_caller_is_in(
    clone: Clone, zone: str
) -> None:
    await clone.execute(
        clone.worker,
        "SET LOCAL DateStyle = 'SQL'",
        f"SET LOCAL TimeZone = '{zone}'",
        "SELECT ledger.create_partitions(6)",
    )
    bounds = await clone.fetch(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class "
        "WHERE relispartition AND relkind = 'r' ORDER BY relname"
    )
    assert len(bounds) == 7
    for (bound,) in bounds:
        assert str(bound).count("-01 00:00:00+00") == 2


async def test_the_auditor_reads_every_table_and_nothing_else_is_granted(clone: Clone) -> None:
    tables = await clone.fetch(
        "SELECT oid::regclass::text FROM pg_class "
        "WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition"
    )
    assert len(tables) >= 11
    for (table,) in tables:
        await clone.fetch(f"SELECT FROM {table}")
    # The whole list, so that a new grant has to be written down here.
    states = ["agents", "authorizations", "policies", "resources", "saga_steps", "sagas"]
    states += ["snapshots", "spend_windows", "transfers"]
    assert await clone.fetch(
        "SELECT grantee::regrole::text, privilege_type, array_agg(relname::text ORDER BY relname) "
        "FROM pg_class, aclexplode(relacl) WHERE relnamespace = 'ledger'::regnamespace "
        "AND grantee <> relowner AND privilege_type <> 'SELECT' GROUP BY 1, 2 ORDER BY 1, 2"
    ) == [("amends_worker", "INSERT", states), ("amends_worker", "UPDATE", states)]
    [(role, privilege, columns)] = await clone.fetch(
        "SELECT grantee::regrole::text, privilege_type, array_agg(attname::text) "
        "FROM pg_attribute, aclexplode(attacl) WHERE attrelid = 'ledger.event_log'::regclass "
        "GROUP BY 1, 2"
    )
    assert (role, privilege) == ("amends_worker", "INSERT")
    assert isinstance(columns, list)
    assert set(columns) == {c.name for c in event_log.c} - {"position", "xid"}
