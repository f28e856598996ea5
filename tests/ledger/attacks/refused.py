"""Statements that both roles may send and that the database refuses, beyond those in
tests/ledger/rules; and those that it allows and that change nothing of the ledger."""

from collections.abc import Iterator

TABLES = (
    *("event_log", "sagas", "saga_steps", "authorizations", "transfers", "agents", "policies"),
    *("mandates", "refunds", "keys", "resources", "spend_windows", "snapshots", "incarnations"),
    "closed_past",
)
# What would change a table itself, each tried on every table.
ON_A_TABLE = {
    "an index": "CREATE INDEX ON ledger.{table} ((1))",
    "statistics": "CREATE STATISTICS ledger.mine ON ctid, xmin FROM ledger.{table}",
    "a comment": "COMMENT ON TABLE ledger.{table} IS 'mine'",
    "another schema": "ALTER TABLE ledger.{table} SET SCHEMA public",
    "another name": "ALTER TABLE ledger.{table} RENAME TO mine",
    "no constraints": "ALTER TABLE ledger.{table} DROP CONSTRAINT mine",
    "no triggers": "ALTER TABLE ledger.{table} DISABLE TRIGGER ALL",
    "a parent": "ALTER TABLE ledger.{table} INHERIT ledger.agents",
    "its owner": "ALTER TABLE ledger.{table} OWNER TO amends_auditor",
    "dropped": "DROP TABLE ledger.{table} CASCADE",
}
# By SQLSTATE.
BY_BOTH: dict[str, dict[str, str]] = {
    "42501": {
        "a view in the schema": "CREATE VIEW ledger.mine AS SELECT 1",
        "a function in the schema": "CREATE FUNCTION ledger.mine() RETURNS int RETURN 1",
        "a type in the schema": "CREATE TYPE ledger.mine AS (x int)",
        "a sequence in the schema": "CREATE SEQUENCE ledger.mine",
        "an operator in the schema": "CREATE OPERATOR ledger.= (leftarg = text, rightarg = text, "
        "function = texteq)",
        "a collation in the schema": 'CREATE COLLATION ledger.mine FROM "C"',
        "a domain in the schema": "CREATE DOMAIN ledger.mine AS text",
        "a text search in the schema": "CREATE TEXT SEARCH DICTIONARY ledger.mine "
        "(template = simple)",
        "a materialized view in the schema": "CREATE MATERIALIZED VIEW ledger.mine AS SELECT 1",
        "a table made by a select": "SELECT 1 AS x INTO ledger.mine",
        "a language": "CREATE LANGUAGE mine HANDLER plpgsql_call_handler",
        "a publication of all tables": "CREATE PUBLICATION mine FOR ALL TABLES",
        "the settings of the server": "SELECT * FROM pg_hba_file_rules",
        "the passwords of the server": "SELECT * FROM pg_authid",
        "the shadow of the passwords": "SELECT * FROM pg_shadow",
        "the files of the server": "SELECT pg_ls_dir('.')",
        "a binary file of the server": "SELECT pg_read_binary_file('PG_VERSION')",
        "the log of the server": "SELECT * FROM pg_ls_logdir()",
        "the configuration loaded anew": "SELECT pg_reload_conf()",
        "a standby promoted": "SELECT pg_promote()",
        "a restore point": "SELECT pg_create_restore_point('mine')",
        "a backup begun": "SELECT pg_backup_start('mine')",
        "a replication slot": "SELECT pg_create_physical_replication_slot('mine')",
        "a logical slot": "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
        "a logical message": "SELECT pg_replication_origin_advance('mine', '0/0')",
        "a setting of the server": "SET log_statement = 'none'",
        "a setting of its messages": "SET lc_messages = 'C'",
        "a plugin of the session": "SET session_preload_libraries = 'mine'",
        "no rows on zero pages": "SET ignore_checksum_failure = on",
        "system tables": "SET allow_system_table_mods = on",
        "another session's role": "SET SESSION AUTHORIZATION amends_owner",
        "the role of a superuser": "SET ROLE pg_write_all_data",
        "the role of a program": "SET LOCAL ROLE pg_execute_server_program",
        "the owner by a setting": "SELECT set_config('role', 'amends_owner', true)",
        "the owner of a session by a setting": "SELECT set_config('session_authorization', "
        "'amends_owner', true)",
        "all data to write": "GRANT pg_write_all_data TO CURRENT_USER",
        "the owner's password": "ALTER ROLE amends_owner PASSWORD 'mine'",
        "no login for the owner": "ALTER ROLE amends_owner NOLOGIN",
        "a role renamed": "ALTER ROLE amends_owner RENAME TO mine",
        "a role dropped": "DROP ROLE amends_owner",
        "replication": "ALTER ROLE CURRENT_USER REPLICATION",
        "past row security": "ALTER ROLE CURRENT_USER BYPASSRLS",
        "databases of one's own": "ALTER ROLE CURRENT_USER CREATEDB",
        "the privileges of others by default": "ALTER DEFAULT PRIVILEGES FOR ROLE amends_owner "
        "GRANT ALL ON TABLES TO PUBLIC",
        "what the owner owns": "REASSIGN OWNED BY amends_owner TO CURRENT_USER",
        "all that the owner owns dropped": "DROP OWNED BY amends_owner",
        "a function of the owner": "ALTER FUNCTION ledger.late_after() OWNER TO CURRENT_USER",
        "a function renamed": "ALTER FUNCTION ledger.refuse_change() RENAME TO mine",
        "a function of another schema": "ALTER FUNCTION ledger.refuse_change() SET SCHEMA public",
        "a function without a check": "ALTER FUNCTION ledger.close_past(timestamptz) "
        "SECURITY INVOKER",
        "a function dropped": "DROP FUNCTION ledger.late_after() CASCADE",
        "a trigger function called": "SELECT ledger.refuse_change()",
        "the migrations": "UPDATE ledger.alembic_version SET version_num = '0001'",
        "the mark of the closed past": "UPDATE ledger.closed_past SET until = '-infinity'",
        "an incarnation": "INSERT INTO ledger.incarnations (system_identifier, restored_position) "
        "VALUES (1, 0)",
        "the catalog of functions": "UPDATE pg_catalog.pg_proc SET prosecdef = false",
        "the catalog of grants": "UPDATE pg_catalog.pg_class SET relacl = NULL",
        "the catalog of roles": "UPDATE pg_catalog.pg_authid SET rolsuper = true",
        "the catalog of types": "DELETE FROM pg_catalog.pg_attribute",
        "a cast of one's own": "CREATE CAST (text AS integer) WITH INOUT AS ASSIGNMENT",
        "a large object from a file": "SELECT lo_import('/etc/hostname', 4711)",
        "a large object to a file": "SELECT lo_export(4711, '/tmp/mine')",
        "a program's output": "COPY pg_temp.mine FROM PROGRAM 'id'",
        "a file's content": "COPY pg_temp.mine FROM '/etc/hostname'",
    },
    "23502": {"a past of no time": "SELECT ledger.close_past(NULL)"},
    "25001": {
        "a system setting": "ALTER SYSTEM SET fsync = off",
        "a vacuum": "VACUUM FULL ledger.event_log",
        "a database": "CREATE DATABASE mine",
    },
}
BY_THE_WORKER = {
    "ZA010": {
        "a century of partitions": "SELECT ledger.create_partitions(1200)",
        "partitions of the past": "SELECT ledger.create_partitions(-1)",
        "partitions without end": "SELECT ledger.create_partitions(2147483647)",
    },
    "22004": {"partitions of no month": "SELECT ledger.create_partitions(NULL)"},
    "40001": {
        "rows that moved": "SELECT ledger.require_unmoved(0, 1)",
        "less than no rows": "SELECT ledger.require_unmoved(-9223372036854775808, 0)",
    },
}

# By role: what is allowed, and changes nothing that the ledger says.
ALLOWED: dict[str, dict[str, str]] = {
    "worker": {
        "no month ahead": "SELECT ledger.create_partitions(0)",
        "a count of nothing": "SELECT ledger.count_events(NULL, NULL, NULL, NULL, NULL)",
        "a count of the impossible": "SELECT ledger.count_events(gen_random_uuid(), 'infinity', "
        "'18446744073709551615', 2147483647, -2147483648)",
        "a hash of nothing": "SELECT ledger.event_hash(NULL, NULL, NULL, NULL, NULL)",
        "a hash at infinity": "SELECT ledger.event_hash('', '', '', 'infinity', '')",
        "an unmoved nothing": "SELECT ledger.require_unmoved(NULL, NULL)",
        "an incarnation that is on record": "SELECT ledger.record_incarnation()",
        "a row held for long": "SELECT 1 FROM ledger.sagas FOR UPDATE",
        "a locked state table": "LOCK TABLE ledger.sagas IN SHARE ROW EXCLUSIVE MODE",
    },
    "auditor": {"all that is there": "TABLE ledger.event_log"},
    "both": {
        "a past that is not past": "SELECT ledger.close_past('infinity')",
        "a past before all time": "SELECT ledger.close_past('-infinity')",
        "how late a commit may be": "SELECT ledger.late_after()",
        "a large object": "SELECT lo_from_bytea(0, decode(repeat('00', 4096), 'hex'))",
        "an advisory lock": "SELECT pg_try_advisory_xact_lock(4107220003)",
        "another advisory lock": "SELECT pg_try_advisory_xact_lock(4107220002)",
        "a shadow of a table": "CREATE TEMP TABLE sagas AS SELECT * FROM ledger.sagas",
        "a shadow of the log": "CREATE TEMP VIEW event_log AS SELECT * FROM ledger.event_log",
        "a shadow of a function": "CREATE FUNCTION pg_temp.late_after() RETURNS interval "
        "RETURN interval '1 year'",
        "a shadow of an operator": "CREATE OPERATOR pg_temp.= (leftarg = uuid, rightarg = uuid, "
        "function = uuid_ne)",
        "a path of one's own": "SET search_path = pg_temp, ledger, pg_catalog",
        "a path without the catalog": "SET search_path = ''",
        "a zone of one's own": "SET TimeZone = '<UTC>-9'",
        "constraints at once": "SET CONSTRAINTS ALL IMMEDIATE",
        "no sequential scans": "SET enable_seqscan = off",
        "a commit that is not waited for": "SET synchronous_commit = off",
        "bytes that end in nothing": "SET bytea_output = 'escape'",
        "a notification": "NOTIFY ledger, 'all is well'",
        "privileges by default": "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
        "a statement prepared": "PREPARE mine AS SELECT * FROM ledger.sagas",
        "a cursor held": "DECLARE mine CURSOR WITH HOLD FOR SELECT * FROM ledger.sagas",
        "a snapshot exported": "SELECT pg_export_snapshot()",
        "a block of one's own": "DO $$ BEGIN PERFORM set_config('ledger.mine', 'x', false); END $$",
    },
}


def refused(role: str) -> Iterator[tuple[str, str, str]]:
    """Name, SQLSTATE and statement of what is refused to a role."""
    for table_of_tries in (BY_BOTH, BY_THE_WORKER if role == "worker" else {}):
        for state, tries in table_of_tries.items():
            for name, statement in tries.items():
                yield f"{role}: {name}", state, statement
    for table in TABLES:
        for name, statement in ON_A_TABLE.items():
            yield f"{role}: {table}: {name}", "42501", statement.format(table=table)


def allowed(role: str) -> dict[str, str]:
    """Name and statement of what a role may do in vain."""
    return ALLOWED[role] | ALLOWED["both"]
