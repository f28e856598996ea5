"""Attempts on the log, with nothing but what the worker may do: insert events.

The owner and a superuser make them too.
"""

from uuid import UUID

from ledger.store.event_log import event_id
from tests.ledger.conftest import EVENT_ID
from tests.ledger.rules.attempt import Copy, Tries, attempts_of
from tests.ledger.rules.world import AGENT, BOT, NOBODY, POLICY, event, moved, new_row, row

# JSON that readers can't read.
DEEP = "('{\"x\": ' || repeat('[', 200) || repeat(']', 200) || '}')::jsonb"
HUGE = "jsonb_build_object('x', repeat('9', 5000)::numeric)"
CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"
SOON = "now() + interval '1 second'"
COLUMNS = """event_id, aggregate_id, aggregate, version, event_type, schema_version, "timestamp",
    user_id, payload, metadata, hash"""

# The values of those columns, for COPY.
COPIED = (
    str(event_id(UUID(AGENT.id), 2)),
    AGENT.id,
    BOT,
    2,
    "AgentRevoked",
    1,
    "now",
    "user:x",
    "{}",
    "{}",
    r"\x" + "00" * 32,
)


def named(aggregate: str) -> str:
    """An event of the agent under another name."""
    return event(aggregate_id=f"'{AGENT.id}'", aggregate=f"'{aggregate}'")


EVENT_WITHOUT_ITS_ROW: Tries = {
    "an event and no row": event(),
    "an event of nothing": event(1, NOBODY),
    "an old version in a legal commit": (row(), event(2), event(1)),
    "an old version after the check": (*moved(AGENT), CHECK_NOW, event(1)),
    "a version beyond the row": (event(3), row(), event(2)),
    "one version at two times": (row(), event(2), event(2, at=SOON)),
    "a forged time in a legal commit": (event(3, at=SOON), event(2), row(3)),
    "a time in the past": event(2, at="date_trunc('month', now(), 'UTC')"),
    "a name that is not of its row": (named("agent/x"), row()),
    "a name in other letters": (named("agent/Expense-Bot"), row()),
    "a name in another normal form": (
        new_row("agent/café"),
        event(1, "agent/café", aggregate="'agent/cafe\u0301'"),
    ),
    "a name with a space behind it": (named(f"{BOT} "), row()),
    "the id of another aggregate type": (named(f"{POLICY.aggregate}"), row()),
    "an event on conflict do nothing": event() + " ON CONFLICT DO NOTHING",
    "a copy of all events": (
        f"INSERT INTO ledger.event_log ({COLUMNS}) "
        "SELECT " + COLUMNS.replace('"timestamp"', "now()") + " FROM ledger.event_log"
    ),
    "an event by COPY": Copy(f"COPY ledger.event_log ({COLUMNS}) FROM STDIN", (COPIED,)),
    "an event behind a view": (
        "CREATE TEMP VIEW event_log AS SELECT * FROM ledger.event_log",
        event().replace("ledger.event_log", "pg_temp.event_log"),
    ),
    "an event in a savepoint": ("SAVEPOINT one", event(), "RELEASE one"),
    "its row rolled back to a savepoint": (event(), "SAVEPOINT one", row(), "ROLLBACK TO one"),
    "its row checked and rolled back": (
        event(),
        "SAVEPOINT one",
        row(),
        CHECK_NOW,
        "ROLLBACK TO one",
    ),
    "an event at the very end of the commit": (
        "CREATE TEMP TABLE mine (x integer)",
        "CREATE FUNCTION pg_temp.stray() RETURNS trigger LANGUAGE plpgsql "
        f"AS $$ BEGIN {event(3)}; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER stray AFTER INSERT ON mine DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION pg_temp.stray()",
        *moved(AGENT),
        "INSERT INTO mine VALUES (1)",
    ),
}


EVENT_AGAINST_ITS_COLUMNS: Tries = {
    "an event of version 0": event(0),
    "a schema version 0": (row(), event(schema_version="0")),
    "an author of no kind": (row(), event(user_id="'root'")),
    "an author without a name": (row(), event(user_id="'user:'")),
    "a hash cut short": (row(), event(hash=r"'\x00'")),
    "an id of its own choice": (row(), event(event_id="gen_random_uuid()")),
    "the id of another version": (row(), event(event_id=EVENT_ID.format(f"'{AGENT.id}'", 1))),
    "a payload that is no object": (row(), event(payload="'[]'")),
    "a payload nested too deep": (row(), event(payload=DEEP)),
    "a payload nested thousands deep": (row(), event(payload=f"{DEEP.replace('200', '4000')}")),
    "a payload too large": (row(), event(payload="jsonb_build_object('x', repeat('x', 5000000))")),
    "a number of thousands of digits": (row(), event(payload=HUGE)),
    "metadata that is no object": (row(), event(metadata="'null'")),
    "metadata nested too deep": (row(), event(metadata=DEEP)),
    "metadata too large": (row(), event(metadata="jsonb_build_object('x', repeat('x', 66000))")),
    **{
        f"metadata with a wrong {name}": (row(), event(metadata=f"'{{\"{name}\": [1]}}'"))
        for name in ("workflow_id", "run_id", "activity", "attempt", "context")
    },
    **{
        f"a {name} too long": (row(), event(**{name: "repeat('x', 66000)"}))
        for name in ("event_type", "step")
    },
    "a control character in an event type": (row(), event(event_type="E'x\\ny'")),
    "an author too long": (row(), event(user_id="'user:' || repeat('x', 1000)")),
}


AGAINST_EVENTS = attempts_of(
    {
        "ZA005 require_row": EVENT_WITHOUT_ITS_ROW,
        "ZA001 require_row": {
            "an aggregate of no aggregate type": event(1, "payment/x"),
            "a type in other letters": event(1, "Agent/expense-bot"),
            "no name at all": event(1, ""),
        },
        "23505 key": {
            "one version twice in the place of the next": (row(3), event(2), event(2)),
            "one version twice": (row(), event(2), event(2)),
        },
        "23514 partition": {
            "no partition for its time": event(2, at="'2020-01-01'"),
            "an event at infinity": event(2, at="'infinity'"),
        },
        "23514 check": EVENT_AGAINST_ITS_COLUMNS,
        "22P02 type": {"a payload that is no JSON": (row(), event(payload="'{'"))},
    }
)
