"""Attempts that PostgreSQL refuses to the worker and the auditor: they were never granted it."""

from collections.abc import Iterator

from tests.ledger.rules.attempt import Attempt, Copy, Role, Tries, attempts_of
from tests.ledger.rules.world import COUNTED, WORLD, event, row

DENIED = "42501 grant"
STATES = [*WORLD, "spend_windows"]
LOG = ["event_log", "{partition}"]
OURS = ["incarnations", "alembic_version", "closed_past", "snapshots"]
COLUMN = {
    "alembic_version": "version_num",
    "closed_past": "until",
    "incarnations": "system_identifier",
    "spend_windows": "count",
}

PRIVILEGES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "MAINTAIN")


def _statements(table: str) -> dict[str, str]:
    """What each privilege on a table would allow."""
    column = COLUMN.get(table, "version")
    return {
        # Neither reads the table: a partition is read by nobody.
        "INSERT": f"INSERT INTO ledger.{table} ({column}) SELECT NULL WHERE false",
        "UPDATE": f"UPDATE ledger.{table} SET {column} = DEFAULT WHERE false",
        "DELETE": f"DELETE FROM ledger.{table}",
        "TRUNCATE": f"TRUNCATE ledger.{table}",
        "TRIGGER": f"CREATE TRIGGER mine BEFORE INSERT ON ledger.{table} FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "MAINTAIN": f"LOCK TABLE ledger.{table} IN ACCESS EXCLUSIVE MODE",
    }


# What the worker has: everything else on every table is attempted. The log it has by column.
HELD = {table: {"INSERT", "UPDATE", "MAINTAIN"} for table in [*STATES, "snapshots"]}
HELD["event_log"] = {"INSERT"}


def privileges_not_held(role: str) -> Iterator[tuple[str, str]]:
    """Table and privilege. The log the worker has by column."""
    for table in [*STATES, *LOG, *OURS]:
        for privilege in PRIVILEGES:
            if role == "auditor" or privilege not in HELD.get(table, set()):
                yield table, privilege


def _on_tables(role: Role) -> Iterator[Attempt]:
    for table, privilege in privileges_not_held(role):
        statement = _statements(table)[privilege]
        yield Attempt(f"{privilege} on {table}", "42501", "grant", (statement,), role)


# name: statements. The last of them is what the others were to make possible.
BY_BOTH: Tries = {
    "update an event behind a view": (
        "CREATE TEMP VIEW mine AS SELECT * FROM ledger.event_log",
        "UPDATE mine SET payload = '{}'",
    ),
    "update an event behind a function of one's own": (
        "CREATE FUNCTION pg_temp.change() RETURNS void LANGUAGE sql SECURITY DEFINER "
        "AS $$ UPDATE ledger.event_log SET payload = '{}' $$",
        "SELECT pg_temp.change()",
    ),
    "update an event under a cursor": (
        "DECLARE one CURSOR FOR SELECT * FROM ledger.event_log FOR UPDATE",
    ),
    "merge into the log": (
        "MERGE INTO ledger.event_log USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    ),
    "upsert an event": (
        event(1) + ' ON CONFLICT (aggregate_id, version, "timestamp") '
        "DO UPDATE SET payload = '{}'"
    ),
    "name a position": (row(), event(position="7")),
    "name a transaction id": event(xid="'3'"),
    "name its own transaction id": (row(), event(xid="pg_current_xact_id()")),
    "copy a position": Copy("COPY ledger.event_log (position, version) FROM STDIN"),
    "copy a transaction id": Copy("COPY ledger.event_log (xid, version) FROM STDIN"),
    "copy whole rows": Copy("COPY ledger.event_log FROM STDIN"),
    "an event straight into a partition": event(table="{partition}"),
    "detach a partition": "ALTER TABLE ledger.event_log DETACH PARTITION ledger.{partition}",
    "drop a partition": "DROP TABLE ledger.{partition}",
    "a partition of one's own": (
        "CREATE TABLE ledger.mine PARTITION OF ledger.event_log "
        "FOR VALUES FROM ('2031-01-01') TO ('2031-02-01')"
    ),
    "a child of a state table": "CREATE TEMP TABLE mine () INHERITS (ledger.agents)",
    "disable a trigger": "ALTER TABLE ledger.agents DISABLE TRIGGER stamp_row",
    "disable all triggers": "SET session_replication_role = replica",
    "disable all triggers by a function": (
        "SELECT set_config('session_replication_role', 'replica', true)",
    ),
    "disable all triggers at every login": (
        "ALTER ROLE CURRENT_USER SET session_replication_role = replica",
    ),
    "drop a trigger": "DROP TRIGGER require_row ON ledger.event_log",
    "make a rule immediate for ever": (
        "ALTER TABLE ledger.event_log ALTER CONSTRAINT require_row NOT DEFERRABLE",
    ),
    "a rewrite rule on the log": (
        "CREATE RULE nothing AS ON INSERT TO ledger.event_log DO INSTEAD NOTHING",
    ),
    "replace a rule": (
        "CREATE OR REPLACE FUNCTION ledger.require_row() RETURNS trigger "
        "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    ),
    "loosen a function": "ALTER FUNCTION ledger.stamp_row() RESET search_path",
    "make the past last": (
        "CREATE OR REPLACE FUNCTION ledger.late_after() RETURNS interval RETURN interval '1 year'"
    ),
    "hide rows by a policy": "ALTER TABLE ledger.agents ENABLE ROW LEVEL SECURITY",
    "a column of one's own": "ALTER TABLE ledger.agents ADD COLUMN mine integer",
    "drop a constraint": "ALTER TABLE ledger.event_log DROP CONSTRAINT event_log_pkey",
    "drop an index": "DROP INDEX ledger.event_log_order",
    "drop the schema": "DROP SCHEMA ledger CASCADE",
    "rename the schema": "ALTER SCHEMA ledger RENAME TO gone",
    "create in the schema": "CREATE TABLE ledger.mine (x integer)",
    "create a schema": "CREATE SCHEMA mine",
    "create in public": "CREATE TABLE public.mine (x integer)",
    "set the sequence": "SELECT setval('ledger.event_log_position_seq', 1)",
    "take a position": "SELECT nextval('ledger.event_log_position_seq')",
    "alter the sequence": "ALTER SEQUENCE ledger.event_log_position_seq RESTART",
    "make one partition": "SELECT ledger.create_partition('2031-01-01')",
    "write the count anew": "SELECT ledger.write_count_events()",
    "replace the count": (
        "CREATE OR REPLACE FUNCTION ledger.count_events(id uuid, moment timestamptz, writer xid8, "
        "base integer, head integer) RETURNS bigint LANGUAGE sql AS 'SELECT head - base'"
    ),
    "call the guard": "CALL ledger.guard_state_table('agents', 'agent')",
    "grant to oneself": (
        "GRANT UPDATE ON ledger.event_log TO CURRENT_USER",
        "UPDATE ledger.event_log SET payload = '{}'",
    ),
    "grant to all": ("GRANT ALL ON SCHEMA ledger TO PUBLIC", "CREATE TABLE ledger.mine (x int)"),
    "own a table": "ALTER TABLE ledger.agents OWNER TO CURRENT_USER",
    "become the owner": "SET ROLE amends_owner",
    "become a member of the owner": "GRANT amends_owner TO CURRENT_USER",
    "become a superuser": "ALTER ROLE CURRENT_USER SUPERUSER",
    "make a role": "CREATE ROLE mine",
    "set the database": "ALTER DATABASE template1 SET search_path = mine",
    "an event trigger": (
        "CREATE EVENT TRIGGER mine ON ddl_command_start "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "an extension": "CREATE EXTENSION pageinspect",
    "a foreign server": "CREATE FOREIGN DATA WRAPPER mine",
    "load a library": "LOAD 'pg_surgery'",
    "a function of the server": (
        "CREATE FUNCTION pg_temp.c() RETURNS void LANGUAGE internal AS 'pg_backend_pid'",
    ),
    "run a program": "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'",
    "write a file": "COPY (SELECT 1) TO '/tmp/mine'",
    "read a file": "SELECT pg_read_file('PG_VERSION')",
    "import a large object": "SELECT lo_import('/etc/hostname')",
    "write the catalog": "UPDATE pg_catalog.pg_trigger SET tgenabled = 'D'",
    "an operator in the catalog": (
        "CREATE OPERATOR pg_catalog.<> (leftarg = text, rightarg = text, function = texteq)",
    ),
    "reset statistics": "SELECT pg_stat_reset()",
    "switch the log": "SELECT pg_switch_wal()",
    "a replication origin": "SELECT pg_replication_origin_create('mine')",
}

# These are the auditor's alone: the worker may.
BY_THE_AUDITOR: Tries = {
    "an event": event(),
    "lock the log": "LOCK TABLE ledger.event_log IN ROW EXCLUSIVE MODE",
    "make partitions": "SELECT ledger.create_partitions(1)",
    "count events": f"SELECT {COUNTED}",
    "hash an event": "SELECT ledger.event_hash('', '', '', now(), '')",
    "become the worker": "SET ROLE amends_worker",
}

BY_THE_WORKER: Tries = {"become the auditor": "SET ROLE amends_auditor"}


AGAINST_GRANTS = [
    *_on_tables("worker"),
    *_on_tables("auditor"),
    *attempts_of({DENIED: BY_BOTH | BY_THE_WORKER}),
    *attempts_of({DENIED: BY_BOTH | BY_THE_AUDITOR}, "auditor"),
]
