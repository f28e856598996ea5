"""Attempts of the owner, who owns the tables and may switch rules off, but has not."""

from collections.abc import Iterator

from tests.ledger.rules.against_grants import LOG
from tests.ledger.rules.attempt import Attempt, Copy, Told, attempts_of
from tests.ledger.rules.world import AGENT, BOT, WORLD, event, moved, row

ROW = (1, "3", AGENT.id, AGENT.id, BOT, 2, "AgentRevoked", 1, "now", "user:x", "{}", "{}",
       r"\x" + "00" * 32)  # fmt: skip
REFUSED: Told = {
    "merge a row away": (
        "ZA002",
        "refuse_change",
        ("MERGE INTO ledger.agents a USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",),
    ),
    "merge the log away": (
        "ZA002",
        "refuse_change",
        ("MERGE INTO ledger.event_log USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",),
    ),
    "upsert an event": (
        "ZA002",
        "refuse_change",
        (
            "INSERT INTO ledger.event_log OVERRIDING SYSTEM VALUE SELECT * FROM ledger.event_log "
            "ON CONFLICT (aggregate_id, version, \"timestamp\") DO UPDATE SET payload = '{}'",
        ),
    ),
    "an event to another partition": (
        "ZA002",
        "refuse_change",
        ('UPDATE ledger.event_log SET "timestamp" = "timestamp" + interval \'1 month\'',),
    ),
    "update an event behind a view": (
        "ZA002",
        "refuse_change",
        (
            "CREATE TEMP VIEW mine AS SELECT * FROM ledger.event_log",
            "UPDATE mine SET payload = '{}'",
        ),
    ),
    "update an event by a foreign key": (
        "ZA003",
        "stamp_row",
        (
            "CREATE TABLE ledger.mine (id uuid PRIMARY KEY)",
            "INSERT INTO ledger.mine SELECT aggregate_id FROM ledger.agents",
            "ALTER TABLE ledger.agents ADD FOREIGN KEY (aggregate_id) "
            "REFERENCES ledger.mine ON UPDATE CASCADE",
            "UPDATE ledger.mine SET id = gen_random_uuid()",
        ),
    ),
    "delete a row by a foreign key": (
        "ZA002",
        "refuse_change",
        (
            "CREATE TABLE ledger.mine (id uuid PRIMARY KEY)",
            "INSERT INTO ledger.mine SELECT aggregate_id FROM ledger.agents",
            "ALTER TABLE ledger.agents ADD FOREIGN KEY (aggregate_id) "
            "REFERENCES ledger.mine ON DELETE CASCADE",
            "DELETE FROM ledger.mine",
        ),
    ),
    "truncate everything": ("ZA002", "refuse_change", ("TRUNCATE ledger.agents CASCADE",)),
    "an event with another transaction id": ("ZA005", "require_row", (event(xid="'3'"), row())),
    "a row for an event with another transaction id": (
        "ZA004",
        "require_events",
        (row(), event(xid="'3'")),
    ),
    "an event with the id of an old transaction": (
        "ZA005",
        "require_row",
        (event(xid="(SELECT xid FROM ledger.agents)"),),
    ),
    "an event by COPY with position and transaction id": (
        "ZA005",
        "require_row",
        (
            Copy(
                "COPY ledger.event_log (position, xid, event_id, aggregate_id, aggregate, version, "
                'event_type, schema_version, "timestamp", user_id, payload, metadata, hash) '
                "FROM STDIN",
                (ROW,),
            ),
        ),
    ),
    "an event straight into a partition": ("ZA005", "require_row", (event(table="{partition}"),)),
    "an event with a position, and no row": ("ZA005", "require_row", (event(position="7"),)),
    "a position in the place of the next": (
        "428C9",
        "identity",
        (row(), event(position="7").replace("OVERRIDING SYSTEM VALUE ", "")),
    ),
    "truncate a new partition": (
        "ZA002",
        "refuse_change",
        ("SELECT ledger.create_partition('2031-01-15')", "TRUNCATE ledger.event_log_2031_01"),
    ),
    "a partition in the hours that another zone leaves": (
        "42P17",
        "partition",
        (
            "SET LOCAL TimeZone = '<UTC>+5'",
            "SELECT ledger.create_partition('2031-01-15')",
            "SET LOCAL TimeZone = 'GMT'",
            "CREATE TABLE ledger.mine PARTITION OF ledger.event_log "
            "FOR VALUES FROM ('2031-01-01 00:00+00') TO ('2031-01-01 05:00+00')",
        ),
    ),
    "an event without a position": (
        "23502",
        "NOT NULL event_log.position",
        (event(position="NULL"), row()),
    ),
    "an event without a transaction id": (
        "23502",
        "NOT NULL event_log.xid",
        (event(xid="NULL"), row()),
    ),
    "an event with no partition for it": (
        "23514",
        "partition",
        ("ALTER TABLE ledger.event_log DETACH PARTITION ledger.{partition}", *moved(AGENT)),
    ),
    "an overlapping partition": (
        "42P17",
        "partition",
        (
            "CREATE TABLE ledger.mine PARTITION OF ledger.event_log "
            "FOR VALUES FROM (now() - interval '1 second') TO (now() + interval '1 second')",
        ),
    ),
    "a prepared transaction": ("55000", "setting", (*moved(AGENT), "PREPARE TRANSACTION 'later'")),
    "partitions for more than two years": (
        "ZA010",
        "create_partitions",
        ("SELECT ledger.create_partitions(25)",),
    ),
    "partitions of the past": (
        "ZA010",
        "create_partitions",
        ("SELECT ledger.create_partitions(-1)",),
    ),
    "disable the triggers of the session": (
        "42501",
        "grant",
        ("SET session_replication_role = replica",),
    ),
    "become a superuser": ("42501", "grant", ("ALTER ROLE CURRENT_USER SUPERUSER",)),
    "run a program": ("42501", "grant", ("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'",)),
    "write the catalog": ("42501", "grant", ("UPDATE pg_catalog.pg_trigger SET tgenabled = 'D'",)),
    "become the worker": ("42501", "grant", ("SET ROLE amends_worker",)),
}


def _taken_away() -> Iterator[Attempt]:
    """No row of any table goes, by the table or by a partition."""
    for table in [*WORLD, "spend_windows", "closed_past", "incarnations", *LOG]:
        for verb in ("DELETE FROM", "TRUNCATE"):
            taken = f"{verb} ledger.{table}"
            yield Attempt(taken, "ZA002", "refuse_change", (taken,), "owner")
    for table, column in ((LOG[0], "payload"), (LOG[1], "payload"), ("incarnations", "began_at")):
        changed = f"UPDATE ledger.{table} SET {column} = {column}"
        yield Attempt(changed, "ZA002", "refuse_change", (changed,), "owner")


AGAINST_THE_OWNER = [*attempts_of(REFUSED, "owner"), *_taken_away()]
