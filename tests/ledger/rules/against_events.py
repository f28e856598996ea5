"""Attempts on the log, with nothing but what the worker may do: insert events.

The owner and a superuser make them too.
"""

from tests.ledger.rules.attempt import Copy, Told, attempts_of
from tests.ledger.rules.world import AGENT, BOT, NOBODY, POLICY, event, moved, new_row, row

CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"

EVENT_WITHOUT_STATE: Told = {
    "an event and no row": ("ZA005", "require_row", (event(),)),
    "an event of nothing": ("ZA005", "require_row", (event(1, NOBODY),)),
    "an old version in a legal commit": (
        "ZA005",
        "require_row",
        (row(), event(2), event(1)),
    ),
    "an old version after the check": (
        "ZA005",
        "require_row",
        (*moved(AGENT), CHECK_NOW, event(1)),
    ),
    "a version beyond the row": ("ZA005", "require_row", (event(3), row(), event(2))),
    "one version at two times": (
        "ZA005",
        "require_row",
        (row(), event(2), event(2, at="now() + interval '1 second'")),
    ),
    "a forged time in a legal commit": (
        "ZA005",
        "require_row",
        (event(3, at="now() + interval '1 second'"), event(2), row(3)),
    ),
    "a time in the past": (
        "ZA005",
        "require_row",
        (event(2, at="date_trunc('month', now(), 'UTC')"),),
    ),
    "a name that is not of its row": (
        "ZA005",
        "require_row",
        (event(aggregate_id=f"'{AGENT.id}'", aggregate="'agent/x'"), row()),
    ),
    "a name in other letters": (
        "ZA005",
        "require_row",
        (event(aggregate_id=f"'{AGENT.id}'", aggregate="'agent/Expense-Bot'"), row()),
    ),
    "a name in another normal form": (
        "ZA005",
        "require_row",
        (
            new_row("agent/café"),
            event(1, "agent/café", aggregate="'agent/cafe\u0301'"),
        ),
    ),
    "a name with a space behind it": (
        "ZA005",
        "require_row",
        (event(aggregate_id=f"'{AGENT.id}'", aggregate=f"'{BOT} '"), row()),
    ),
    "the id of another aggregate type": (
        "ZA005",
        "require_row",
        (event(aggregate_id=f"'{AGENT.id}'", aggregate=f"'{POLICY.aggregate}'"), row()),
    ),
    "an event on conflict do nothing": (
        "ZA005",
        "require_row",
        (event() + " ON CONFLICT DO NOTHING",),
    ),
    "a copy of all events": (
        "ZA005",
        "require_row",
        (
            "INSERT INTO ledger.event_log (event_id, aggregate_id, aggregate, version, event_type, "
            'schema_version, "timestamp", user_id, payload, metadata, hash) '
            "SELECT event_id, aggregate_id, aggregate, version, event_type, schema_version, now(), "
            "user_id, payload, metadata, hash FROM ledger.event_log",
        ),
    ),
    "an event by COPY": (
        "ZA005",
        "require_row",
        (
            Copy(
                "COPY ledger.event_log (event_id, aggregate_id, aggregate, version, event_type, "
                'schema_version, "timestamp", user_id, payload, metadata, hash) FROM STDIN',
                ((AGENT.id, AGENT.id, BOT, 2, "AgentRevoked", 1, "now", "user:x", "{}", "{}",
                  r"\x" + "00" * 32),),
            ),
        ),
    ),
    "an event behind a view": (
        "ZA005",
        "require_row",
        (
            "CREATE TEMP VIEW event_log AS SELECT * FROM ledger.event_log",
            event().replace("ledger.event_log", "pg_temp.event_log"),
        ),
    ),
    "an event in a savepoint": (
        "ZA005",
        "require_row",
        ("SAVEPOINT one", event(), "RELEASE one"),
    ),
    "its row rolled back to a savepoint": (
        "ZA005",
        "require_row",
        (event(), "SAVEPOINT one", row(), "ROLLBACK TO one"),
    ),
    "its row checked and rolled back": (
        "ZA005",
        "require_row",
        (event(), "SAVEPOINT one", row(), CHECK_NOW, "ROLLBACK TO one"),
    ),
    "an event at the very end of the commit": (
        "ZA005",
        "require_row",
        (
            "CREATE TEMP TABLE mine (x integer)",
            "CREATE FUNCTION pg_temp.stray() RETURNS trigger LANGUAGE plpgsql "
            f"AS $$ BEGIN {event(3)}; RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER stray AFTER INSERT ON mine DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION pg_temp.stray()",
            *moved(AGENT),
            "INSERT INTO mine VALUES (1)",
        ),
    ),
    "an aggregate of no aggregate type": ("ZA001", "require_row", (event(1, "payment/x"),)),
    "a type in other letters": ("ZA001", "require_row", (event(1, "Agent/expense-bot"),)),
    "no name at all": ("ZA001", "require_row", (event(1, ""),)),
    "one version twice in the place of the next": ("23505", "key", (row(3), event(2), event(2))),
    "one version twice": ("23505", "key", (row(), event(2), event(2))),
    "no partition for its time": ("23514", "partition", (event(2, at="'2020-01-01'"),)),
    "an event at infinity": ("23514", "partition", (event(2, at="'infinity'"),)),
}  # fmt: skip

EVENT_AGAINST_ITS_COLUMNS: Told = {
    "an event of version 0": ("23514", "check", (event(0),)),
    "a schema version 0": ("23514", "check", (row(), event(schema_version="0"))),
    "an author of no kind": ("23514", "check", (row(), event(user_id="'root'"))),
    "an author without a name": ("23514", "check", (row(), event(user_id="'user:'"))),
    "a hash cut short": ("23514", "check", (row(), event(hash=r"'\x00'"))),
    "a payload that is no JSON": ("22P02", "type", (row(), event(payload="'{'"))),
}


AGAINST_EVENTS = [*attempts_of(EVENT_WITHOUT_STATE), *attempts_of(EVENT_AGAINST_ITS_COLUMNS)]
