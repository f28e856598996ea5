"""Attempts of the owner, who owns the tables and may switch rules off, but has not."""

from collections.abc import Iterator

from tests.ledger.rules.against_events import COLUMNS, COPIED
from tests.ledger.rules.against_grants import LOG
from tests.ledger.rules.attempt import Attempt, Copy, Tries, attempts_of
from tests.ledger.rules.world import AGENT, WORLD, event, moved, row


def by_a_foreign_key(action: str, change: str) -> tuple[str, ...]:
    """The id of the agent, changed with that of a row it refers to."""
    return (
        "CREATE TABLE ledger.mine (id uuid PRIMARY KEY)",
        "INSERT INTO ledger.mine SELECT aggregate_id FROM ledger.agents",
        "ALTER TABLE ledger.agents ADD FOREIGN KEY (aggregate_id) "
        f"REFERENCES ledger.mine ON {action} CASCADE",
        change,
    )


TAKEN_AWAY: Tries = {
    "merge a row away": (
        "MERGE INTO ledger.agents a USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    ),
    "merge the log away": (
        "MERGE INTO ledger.event_log USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    ),
    "upsert an event": (
        "INSERT INTO ledger.event_log OVERRIDING SYSTEM VALUE SELECT * FROM ledger.event_log "
        "ON CONFLICT (aggregate_id, version, \"timestamp\") DO UPDATE SET payload = '{}'"
    ),
    "an event to another partition": (
        'UPDATE ledger.event_log SET "timestamp" = "timestamp" + interval \'1 month\'',
    ),
    "update an event behind a view": (
        "CREATE TEMP VIEW mine AS SELECT * FROM ledger.event_log",
        "UPDATE mine SET payload = '{}'",
    ),
    "delete a row by a foreign key": by_a_foreign_key("DELETE", "DELETE FROM ledger.mine"),
    "truncate everything": "TRUNCATE ledger.agents CASCADE",
    "truncate a new partition": (
        "SELECT ledger.create_partition('2031-01-15')",
        "TRUNCATE ledger.event_log_2031_01",
    ),
}

BY_A_FOREIGN_KEY: Tries = {
    "update an event by a foreign key": by_a_foreign_key(
        "UPDATE", "UPDATE ledger.mine SET id = gen_random_uuid()"
    )
}

WITHOUT_ITS_ROW: Tries = {
    "an event with another transaction id": (event(xid="'3'"), row()),
    "an event with the id of an old transaction": event(xid="(SELECT xid FROM ledger.agents)"),
    "an event by COPY with position and transaction id": Copy(
        f"COPY ledger.event_log (position, xid, {COLUMNS}) FROM STDIN", ((1, "3", *COPIED),)
    ),
    "an event straight into a partition": event(table="{partition}"),
    "an event with a position, and no row": event(position="7"),
}

PARTITIONS: Tries = {
    "a partition in the hours that another zone leaves": (
        "SET LOCAL TimeZone = '<UTC>+5'",
        "SELECT ledger.create_partition('2031-01-15')",
        "SET LOCAL TimeZone = 'GMT'",
        "CREATE TABLE ledger.mine PARTITION OF ledger.event_log "
        "FOR VALUES FROM ('2031-01-01 00:00+00') TO ('2031-01-01 05:00+00')",
    ),
    "an overlapping partition": (
        "CREATE TABLE ledger.mine PARTITION OF ledger.event_log "
        "FOR VALUES FROM (now() - interval '1 second') TO (now() + interval '1 second')"
    ),
}

NOT_GRANTED: Tries = {
    "disable the triggers of the session": "SET session_replication_role = replica",
    "become a superuser": "ALTER ROLE CURRENT_USER SUPERUSER",
    "run a program": "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'",
    "write the catalog": "UPDATE pg_catalog.pg_trigger SET tgenabled = 'D'",
    "become the worker": "SET ROLE amends_worker",
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


AGAINST_THE_OWNER = attempts_of(
    {
        "ZA002 refuse_change": TAKEN_AWAY,
        "ZA003 stamp_row": BY_A_FOREIGN_KEY,
        "ZA005 require_row": WITHOUT_ITS_ROW,
        "ZA004 require_events": {
            "a row for an event with another transaction id": (row(), event(xid="'3'"))
        },
        "428C9 identity": {
            "a position in the place of the next": (
                row(),
                event(position="7").replace("OVERRIDING SYSTEM VALUE ", ""),
            )
        },
        "42P17 partition": PARTITIONS,
        "23502 NOT NULL event_log.position": {
            "an event without a position": (event(position="NULL"), row())
        },
        "23502 NOT NULL event_log.xid": {
            "an event without a transaction id": (event(xid="NULL"), row())
        },
        "23514 partition": {
            "an event with no partition for it": (
                "ALTER TABLE ledger.event_log DETACH PARTITION ledger.{partition}",
                *moved(AGENT),
            )
        },
        "55000 setting": {"a prepared transaction": (*moved(AGENT), "PREPARE TRANSACTION 'later'")},
        "ZA010 create_partitions": {
            "partitions for more than two years": "SELECT ledger.create_partitions(25)",
            "partitions of the past": "SELECT ledger.create_partitions(-1)",
        },
        "42501 grant": NOT_GRANTED,
    },
    "owner",
) + list(_taken_away())
