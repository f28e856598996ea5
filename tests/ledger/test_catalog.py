"""What the catalog says about the rules: no state table goes without them, and none is off."""

from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.audit.schema_check import RECORDED, rules_of
from ledger.database import open_database
from ledger.store.event_log import EVENT_LOG
from tests.ledger.conftest import Clone
from tests.ledger.record_rules import text_of

# In PostgreSQL's own words: name, function, deferrable, initially deferred, and when it fires.
RULES = {
    (
        "stamp_row",
        "CREATE TRIGGER stamp_row BEFORE INSERT OR UPDATE ON {} "
        "FOR EACH ROW EXECUTE FUNCTION ledger.stamp_row('{}')",
    ),
    (
        "require_events",
        "CREATE CONSTRAINT TRIGGER require_events AFTER INSERT OR UPDATE ON {} "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.require_events()",
    ),
    (
        "refuse_delete",
        "CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON {} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()",
    ),
}
HEAD = ["version", "base", "head_at"]


async def _tables_with_a_head(clone: Clone) -> set[str]:
    found = await clone.fetch(
        "SELECT attrelid::regclass::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') "
        "AND attname = ANY(%s) GROUP BY attrelid HAVING count(*) = 3",
        HEAD,
    )
    return {str(table) for (table,) in found}


async def _triggers(clone: Clone, table: str) -> set[tuple[object, ...]]:
    found = await clone.fetch(
        "SELECT tgname::text, pg_get_triggerdef(oid) FROM pg_trigger "
        "WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled = 'O'",
        table,
    )
    return set(found)


async def test_every_state_table_has_the_columns_of_its_model(clone: Clone) -> None:
    for aggregate_type in AGGREGATE_TYPES.values():
        found = await clone.fetch(
            "SELECT attname::text, NOT attnotnull FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            f"ledger.{aggregate_type.table.name}",
        )
        columns = {(column.name, bool(column.nullable)) for column in aggregate_type.table.c}
        assert set(found) == columns, "the columns of its migration and of its model differ"


async def test_every_state_table_and_partition_has_its_rules_and_one_without_is_seen(
    clone: Clone,
) -> None:
    tables = {f"ledger.{kind.table.name}": name for name, kind in AGGREGATE_TYPES.items()}
    assert await _tables_with_a_head(clone) == set(tables)
    for table, aggregate_type in tables.items():
        rules = {(name, rule.format(table, aggregate_type)) for name, rule in RULES}
        assert await _triggers(clone, table) == rules
    partitions = await clone.fetch(
        "SELECT relid::text FROM pg_partition_tree('ledger.event_log') WHERE level <= 1"
    )
    assert len(partitions) == 5
    for (partition,) in partitions:
        names = {name for name, _ in await _triggers(clone, str(partition))}
        assert names == {"require_row", "refuse_change", "refuse_truncate"}, partition
    copy = "CREATE TABLE ledger.invoices (LIKE ledger.agents INCLUDING ALL)"
    await clone.execute(clone.owner, copy, "GRANT SELECT ON ledger.invoices TO amends_auditor")
    assert "ledger.invoices" in await _tables_with_a_head(clone)
    assert await _triggers(clone, "ledger.invoices") == set()


async def test_the_schema_is_as_recorded_and_only_these_functions_may_be_called_and_are_pinned(
    clone: Clone,
) -> None:
    async with (
        open_database(clone.auditor, size=1) as database,
        database.connection() as connection,
    ):
        found = await rules_of(connection)
    assert RECORDED.read_text() == text_of(found), "run python -m tests.ledger.record_rules"
    # Only these functions may be called, and none by all.
    callable_by = await clone.fetch(
        "SELECT proname::text, has_function_privilege('amends_worker', oid, 'EXECUTE'), "
        "has_function_privilege('amends_auditor', oid, 'EXECUTE') FROM pg_proc "
        "WHERE pronamespace = 'ledger'::regnamespace ORDER BY 1"
    )
    assert len(callable_by) >= 9
    assert [row for row in callable_by if row[1] or row[2]] == [
        ("close_past", True, True),
        ("count_events", True, False),
        ("create_partitions", True, False),
        ("event_hash", True, False),
        ("late_after", True, True),
        ("record_incarnation", True, False),
        ("require_unmoved", True, False),
    ]
    # Each pins its search path. Names in a body of standard SQL are resolved when it is created.
    loose = await clone.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace "
        "AND NOT coalesce(proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false) "
        "AND prosqlbody IS NULL"
    )
    assert loose == []


async def test_the_auditor_reads_every_table_and_nothing_else_is_granted(clone: Clone) -> None:
    tables = await clone.fetch(
        "SELECT oid::regclass::text FROM pg_class "
        "WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition"
    )
    assert len(tables) >= 11
    # A reader that could lock it would hold up migrations and partitions.
    tables.remove(("ledger.maintenance",))
    for (table,) in tables:
        await clone.fetch(f"SELECT FROM {table}")
    # The whole list, so that a new grant has to be written down here.
    states = ["agents", "authorizations", "cases", "keys", "mandates", "policies", "refunds"]
    states += [
        "resources",
        "saga_steps",
        "sagas",
        "snapshots",
        "spend_windows",
        "statements",
        "transfers",
    ]
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
    assert set(columns) == set(EVENT_LOG.names) - {"position", "xid"}
