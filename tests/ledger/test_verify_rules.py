"""`verify` finds every change of the schema that weakens a rule, and nothing else."""

import re

import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from ledger.audit import projection
from ledger.audit.findings import Finding, Findings
from ledger.audit.rebuild import rebuild
from ledger.audit.schema_check import check_rules
from starter.client.environment import LedgerAddress
from starter.client.errors import AmendsError
from starter.client.reading import reading
from tests.ledger.conftest import Clone

EMPTY = "BEGIN RETURN NULL; END"
NOTHING = f"RETURNS trigger LANGUAGE plpgsql AS '{EMPTY}'"

# name: what is found and the change, as the owner may make it; * is the month of every partition.
CHANGES: dict[str, tuple[str | list[str], *tuple[str, ...]]] = {
    "a trigger switched off": (
        "trigger stamp_row of agents",
        "ALTER TABLE ledger.agents DISABLE TRIGGER stamp_row",
    ),
    "all triggers of a table switched off": (
        [f"trigger {name} of sagas" for name in ("refuse_delete", "require_events", "stamp_row")],
        "ALTER TABLE ledger.sagas DISABLE TRIGGER USER",
    ),
    "a trigger that fires for replicas only": (
        "trigger require_events of agents",
        "ALTER TABLE ledger.agents ENABLE REPLICA TRIGGER require_events",
    ),
    "a dropped trigger of the log": (
        ["trigger require_row of event_log", "trigger require_row of event_log_*"],
        "DROP TRIGGER require_row ON ledger.event_log",
    ),
    "a dropped trigger of one partition": (
        "trigger refuse_truncate of event_log_*",
        "DROP TRIGGER refuse_truncate ON ledger.{last}",
    ),
    "a trigger too many": (
        ["function ledger.forge()", "trigger forge of agents"],
        f"CREATE FUNCTION ledger.forge() {NOTHING}",
        "CREATE TRIGGER forge BEFORE INSERT ON ledger.agents "
        "FOR EACH ROW EXECUTE FUNCTION ledger.forge()",
    ),
    "a rule that does nothing": (
        "function ledger.refuse_change()",
        f"CREATE OR REPLACE FUNCTION ledger.refuse_change() {NOTHING}",
    ),
    "a count that says what is asked for": (
        "function ledger.count_events(uuid,timestamp with time zone,xid8,integer,integer)",
        "CREATE OR REPLACE FUNCTION ledger.count_events(id uuid, moment timestamptz, "
        "writer xid8, base integer, head integer) RETURNS bigint LANGUAGE sql "
        "AS 'SELECT head - base'",
    ),
    "a function of another owner": (
        "function ledger.require_row()",
        "GRANT CREATE ON SCHEMA ledger TO amends_auditor",
        "ALTER FUNCTION ledger.require_row() OWNER TO amends_auditor",
        "REVOKE CREATE ON SCHEMA ledger FROM amends_auditor",
    ),
    "a function without its search path": (
        "function ledger.stamp_row()",
        "ALTER FUNCTION ledger.stamp_row() RESET search_path",
    ),
    "a grant on the log": ("table event_log", "GRANT UPDATE ON ledger.event_log TO amends_worker"),
    "a grant on a column": (
        "column event_log.position",
        "GRANT INSERT (position) ON ledger.event_log TO amends_worker",
    ),
    "a grant on a partition": (
        "table event_log_*",
        "GRANT DELETE ON ledger.{last} TO amends_worker",
    ),
    "a grant on a function": (
        "function ledger.create_partition(date)",
        "GRANT EXECUTE ON FUNCTION ledger.create_partition TO PUBLIC",
    ),
    "a grant on the schema": ("schema ledger", "GRANT CREATE ON SCHEMA ledger TO amends_worker"),
    "a table of another owner": (
        "table agents",
        "GRANT CREATE ON SCHEMA ledger TO amends_auditor",
        "ALTER TABLE ledger.agents OWNER TO amends_auditor",
        "GRANT SELECT ON ledger.agents TO amends_auditor",
        "REVOKE CREATE ON SCHEMA ledger FROM amends_auditor",
    ),
    "row security": ("table policies", "ALTER TABLE ledger.policies ENABLE ROW LEVEL SECURITY"),
    "a policy": ("policy all_of_it of agents", "CREATE POLICY all_of_it ON ledger.agents"),
    "a rewrite rule": (
        "rule lose of event_log",
        "CREATE RULE lose AS ON INSERT TO ledger.event_log DO INSTEAD NOTHING",
    ),
    "a table that inherits": (
        "table shadow",
        "CREATE TABLE ledger.shadow () INHERITS (ledger.agents)",
    ),
    "a table without a log of its own": ("table agents", "ALTER TABLE ledger.agents SET UNLOGGED"),
    "a detached partition": (
        "table event_log_*",
        "ALTER TABLE ledger.event_log DETACH PARTITION ledger.{last}",
    ),
    "a partition of no month": (
        "table apart",
        "CREATE TABLE ledger.apart PARTITION OF ledger.event_log DEFAULT",
    ),
    "a dropped constraint": (
        "constraint agents_state_check of agents",
        "ALTER TABLE ledger.agents DROP CONSTRAINT agents_state_check",
    ),
    "a constraint that is not enforced": (
        "constraint agents_state_check of agents",
        "ALTER TABLE ledger.agents DROP CONSTRAINT agents_state_check",
        "ALTER TABLE ledger.agents ADD CONSTRAINT agents_state_check "
        "CHECK (state IN ('active', 'revoked')) NOT ENFORCED",
    ),
    "a dropped key": (
        ["constraint sagas_pkey of sagas", "index ledger.sagas_pkey of sagas"],
        "ALTER TABLE ledger.sagas DROP CONSTRAINT sagas_pkey",
    ),
    "positions that anybody may name": (
        ["column event_log.position", "column event_log_*.position"],
        "ALTER TABLE ledger.event_log ALTER position SET GENERATED BY DEFAULT",
    ),
    "a dropped table": (
        ["table incarnations", "sequence incarnations_incarnation_seq"],
        "DROP TABLE ledger.incarnations CASCADE",
    ),
}


async def test_finds_each_change_and_nothing_else(clone: Clone) -> None:
    [(last,)] = await clone.fetch(
        "SELECT max(relname)::text FROM pg_class WHERE relname ~ '^event_log_\\d+_\\d+$'"
    )
    url = clone.superuser
    async with await AsyncConnection.connect(url, row_factory=dict_row) as connection:
        for name, (found, *change) in CHANGES.items():
            # What the owner may not do for want of a membership, only a superuser does.
            if not any(" OWNER TO " in each for each in change):
                await connection.execute("SET LOCAL SESSION AUTHORIZATION amends_owner")
            for each in change:
                await connection.execute(each.replace("{last}", str(last)).encode())
            await connection.execute("SET LOCAL SESSION AUTHORIZATION amends_auditor")
            findings = Findings()
            await check_rules(connection, findings)
            assert _told(findings.listed) == ({found} if isinstance(found, str) else {*found}), name
            await connection.rollback()


# As a database administrator tunes a server: nothing of it is true or false.
TUNING = (
    "ALTER TABLE ledger.agents SET (fillfactor = 80, parallel_workers = 2)",
    "ALTER TABLE ledger.{last} SET (autovacuum_vacuum_scale_factor = 0.01, "
    "toast.autovacuum_enabled = off)",
    "ALTER TABLE ledger.event_log ALTER aggregate SET STATISTICS 1000, "
    "ALTER payload SET COMPRESSION pglz",
    "ALTER TABLE ledger.agents ALTER agent_id SET (n_distinct = -1), "
    "ALTER agent_id SET STORAGE EXTERNAL",
    "ALTER INDEX ledger.agents_pkey SET (fillfactor = 70)",
    "ALTER INDEX ledger.sagas_aggregate_id SET (deduplicate_items = off)",
    "CREATE STATISTICS ledger.together ON kind, state FROM ledger.sagas",
    "ALTER TABLE ledger.sagas CLUSTER ON sagas_pkey",
    "CREATE INDEX mine ON ledger.agents (agent_id)",
    "REINDEX TABLE ledger.agents",
    "ANALYZE ledger.agents",
)


async def test_tuning_is_no_finding(clone: Clone) -> None:
    [(last,)] = await clone.fetch(
        "SELECT max(relname)::text FROM pg_class WHERE relname ~ '^event_log_\\d+_\\d+$'"
    )
    await clone.execute(clone.owner, *(each.replace("{last}", str(last)) for each in TUNING))
    assert (await clone.verify()).findings == []
    # What REINDEX CONCURRENTLY leaves when it was ended in the middle.
    unfinished = "CREATE UNIQUE INDEX sagas_pkey_ccnew ON ledger.sagas (kind, operation_id)"
    await clone.execute(clone.owner, unfinished)
    assert _told((await clone.verify()).findings) == {"index ledger.sagas_pkey_ccnew of sagas"}
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = {}::regclass"
    await clone.execute(clone.superuser, invalid.format("'ledger.sagas_pkey_ccnew'"))
    assert (await clone.verify()).findings == []


async def test_finds_what_holds_for_all_sessions_and_goes_on_without_a_column_or_a_table(
    clone: Clone,
) -> None:
    off = "EXECUTE format('ALTER DATABASE %I SET session_replication_role = replica', "
    await clone.execute(clone.superuser, f"DO $$ BEGIN {off} current_database()); END $$")
    told = {"setting session_replication_role=replica of all"}
    assert _told((await clone.verify()).findings) == told
    await clone.execute(clone.owner, "ALTER TABLE ledger.transfers DROP COLUMN adapter")
    rules = ("transfers_adapter_not_null", "transfers_texts")
    told |= {"column transfers.adapter", *(f"constraint {each} of transfers" for each in rules)}
    assert _told((await clone.verify()).findings) == told
    with pytest.raises(AmendsError, match=r"not that of this version \(SQLSTATE 42703\): amends v"):
        async with (
            reading(LedgerAddress(clone.auditor, "session")) as database,
            database.connection() as connection,
        ):
            await connection.execute("SELECT adapter FROM ledger.transfers")
    found, *change = CHANGES["a dropped table"]
    await clone.execute(clone.owner, *change)
    assert _told((await clone.verify()).findings) == told | set(found)


UNREADABLE = {
    "column spend_windows.amount_minor": (
        "ALTER TABLE ledger.spend_windows DROP CONSTRAINT spend_windows_numbers, "
        "ALTER amount_minor TYPE text",
    ),
    "column agents.state": ("ALTER TABLE ledger.agents ALTER state TYPE varchar",),
    "table transfers": ("REVOKE SELECT ON ledger.transfers FROM amends_auditor",),
    "column sagas.lost": ("ALTER TABLE ledger.sagas RENAME lost TO gone",),
    "schema ledger": ("REVOKE USAGE ON SCHEMA ledger FROM amends_auditor",),
}


async def test_what_can_not_be_read_hides_no_rule(clone: Clone) -> None:
    told = set[str]()
    for name, statements in UNREADABLE.items():
        await clone.execute(clone.owner, *statements)
        told.add(name)
        verified = await clone.verify()
        assert told <= _told(verified.findings)
        assert ["nothing more was read" in each for each in verified.cannot_detect] == [True]
    with pytest.raises(AmendsError, match=r"not that of this version \(SQLSTATE 42501\): amends v"):
        async with (
            reading(LedgerAddress(clone.auditor, "session")) as database,
            database.connection() as connection,
        ):
            await connection.execute("SELECT * FROM ledger.transfers")


async def test_an_empty_ledger_is_clean_with_a_new_month_or_index_and_rebuilt_to_empty_tables(
    clone: Clone,
) -> None:
    await clone.execute(clone.worker, "SELECT ledger.create_partitions(9)")
    await clone.execute(clone.owner, "CREATE INDEX mine ON ledger.agents (agent_id)")
    verified = await clone.verify()
    assert (verified.events, verified.aggregates, verified.clean) == (0, 0, True)
    for table in projection.sources():
        rebuilt = await rebuild(clone.owner, table)
        assert (rebuilt.table, rebuilt.rows, rebuilt.events) == (table, 0, 0)


def _told(findings: list[Finding]) -> set[str]:
    """What was found, with * for the month of a partition."""
    assert {each.kind for each in findings} <= {"rule"}
    return {re.sub(r"(?<=event_log_)\d{4}_\d\d", "*", each.where) for each in findings}
