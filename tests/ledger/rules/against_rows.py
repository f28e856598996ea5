"""Attempts on state rows, with nothing but what the worker may do: insert and move them.

The rules hold for everybody who does not switch them off, so the owner and a superuser make these
attempts too.
"""

from ledger.aggregates.aggregate import aggregate_id
from tests.ledger.rules.attempt import Tries, attempts_of
from tests.ledger.rules.world import AGENT, BOT, NOBODY, POLICY, event, moved, new_row, row

AHEAD, STEP_BACK = "now() + interval '1 hour'", "now() - interval '1 microsecond'"
NOBODY_ID = aggregate_id(NOBODY)
CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"

STATE_WITHOUT_EVENT: Tries = {
    "a row and no event": row(),
    "a new row and no event": new_row(),
    "two versions and the last event": (row(3), event(3)),
    "two versions and the first event": (row(3), event(2)),
    "a new row that begins at version 2": (new_row(NOBODY, 2), event(2, NOBODY)),
    "an event of another aggregate": (row(), *moved(POLICY)),
    "a new row with a forged base": (new_row(NOBODY, 2, base="1"), event(2, NOBODY)),
    "an event a microsecond away": (row(at="clock_timestamp()"), event()),
    "a forged base and transaction id": (row(3, xid="'3'", base="2"), event(3)),
    "an upsert of a row": (
        new_row(BOT) + " ON CONFLICT (aggregate_id) DO UPDATE SET version = 2, head_at = now()"
    ),
    "a merge into a row": (
        f"MERGE INTO ledger.agents a USING (SELECT 1) s ON a.aggregate_id = '{AGENT.id}' "
        "WHEN MATCHED THEN UPDATE SET version = 2, head_at = now()"
    ),
    "a row behind a view": (
        "CREATE TEMP VIEW agents AS SELECT * FROM ledger.agents",
        row().replace("ledger.agents", "pg_temp.agents"),
    ),
    "a row behind a view with a rule": (
        "CREATE TEMP VIEW agents AS SELECT * FROM ledger.agents",
        f"CREATE RULE instead AS ON INSERT TO pg_temp.agents DO INSTEAD {row()}",
        new_row().replace("ledger.agents", "pg_temp.agents"),
    ),
    "a row behind a trigger of one's own": (
        "CREATE TEMP TABLE mine (x integer)",
        "CREATE FUNCTION pg_temp.move() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"AS $$ BEGIN {row()}; RETURN NEW; END $$",
        "CREATE TRIGGER move BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION pg_temp.move()",
        "INSERT INTO mine VALUES (1)",
    ),
    "a row behind a function of one's own": (
        "CREATE FUNCTION pg_temp.move() RETURNS void LANGUAGE sql SECURITY DEFINER "
        f"SET search_path = pg_temp AS $$ {row()} $$",
        "SELECT pg_temp.move()",
    ),
    "a row under a cursor": (
        "DECLARE one CURSOR FOR SELECT * FROM ledger.agents FOR UPDATE",
        "FETCH one",
        "UPDATE ledger.agents SET version = 2, head_at = now() WHERE CURRENT OF one",
    ),
    "a prepared statement": (f"PREPARE move AS {row()}", "EXECUTE move", "DEALLOCATE move"),
    "constraints set immediate first": (CHECK_NOW, row()),
    "constraints set deferred": (row(), "SET CONSTRAINTS ALL DEFERRED"),
    "the refusal caught in a block": (
        row(),
        f"DO $$ BEGIN {CHECK_NOW}; EXCEPTION WHEN OTHERS THEN NULL; END $$",
    ),
    "the row in a savepoint": ("SAVEPOINT one", row(), "RELEASE one"),
    "its event rolled back to a savepoint": (row(), "SAVEPOINT one", event(), "ROLLBACK TO one"),
    "its event checked and rolled back": (
        row(),
        "SAVEPOINT one",
        event(),
        CHECK_NOW,
        "ROLLBACK TO one",
    ),
    "its event raised away": (
        row(),
        f"DO $$ BEGIN {event()}; RAISE EXCEPTION 'away'; EXCEPTION WHEN OTHERS THEN NULL; END $$",
    ),
    "an event in a log of one's own": (
        "CREATE TEMP TABLE event_log AS TABLE ledger.event_log",
        "SET LOCAL search_path = pg_temp, ledger, pg_catalog",
        row(),
        'UPDATE event_log SET version = 2, "timestamp" = now(), xid = (SELECT xid FROM agents)',
    ),
    "under repeatable read": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", row()),
    "under serializable": ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", row()),
}


ROW_AGAINST_ITS_HEAD: Tries = {
    "the same version": row(1),
    "a lower version": row(0),
    "a negative version": new_row(NOBODY, -1),
    "a change without a version": "UPDATE ledger.agents SET state = 'revoked', head_at = now()",
    "the same version with its event in place": (
        "UPDATE ledger.agents SET version = version, head_at = now()",
    ),
    "a new row at version 0": new_row(NOBODY, 0),
    "a time before the transaction": (row(at=STEP_BACK), event(at=STEP_BACK)),
    "a new row before the transaction": (new_row(at=STEP_BACK), event(1, NOBODY, at=STEP_BACK)),
    "a time to come": (row(at=AHEAD), event(at=AHEAD)),
    "a new row at a time to come": (new_row(at=AHEAD), event(1, NOBODY, at=AHEAD)),
    "a time of another zone": (
        "SET LOCAL TimeZone = '<UTC>-9'",
        row(at="(now() + interval '9 hours')::timestamp AT TIME ZONE 'GMT'"),
    ),
    "infinity": moved(AGENT, head_at="'infinity'"),
    "minus infinity": moved(AGENT, head_at="'-infinity'"),
    "a row written twice": (row(), row(3), event(2), event(3)),
    "a row in a second table with the same event": (
        new_row(),
        f"INSERT INTO ledger.policies SELECT '{NOBODY_ID}', '{NOBODY}', 1, 0, now(), "
        "head_hash, xid, agent_id, currency, 1, 1, 1, time_zone FROM ledger.policies",
        event(1, NOBODY),
    ),
    "a row made and then changed": (
        new_row(),
        f"UPDATE ledger.agents SET version = 2 WHERE aggregate_id = '{NOBODY_ID}'",
        event(1, NOBODY),
        event(2, NOBODY),
    ),
    "a row written again after its check": (
        *moved(AGENT),
        CHECK_NOW,
        "SET CONSTRAINTS ALL DEFERRED",
        row(3),
        event(3),
    ),
    "a row written again in a savepoint": (
        *moved(AGENT),
        "SAVEPOINT one",
        row(3, xid="'3'"),
        event(3),
    ),
    "another name": (row(aggregate=f"'{NOBODY}'"), event()),
    "another name, as its event": (
        row(aggregate=f"'{NOBODY}'", agent_id="'nobody'"),
        event(aggregate_id=f"'{AGENT.id}'", aggregate=f"'{NOBODY}'"),
    ),
    "another id": (row(aggregate_id=f"'{NOBODY_ID}'"), event(aggregate_id=f"'{NOBODY_ID}'")),
    "a copy of the row": "INSERT INTO ledger.agents SELECT * FROM ledger.agents",
}


def claim(workflow_id: str) -> tuple[str, str]:
    """A saga whose operation id is r.1, and its event."""
    name = f"saga/{workflow_id}"
    return (
        f"INSERT INTO ledger.sagas SELECT '{aggregate_id(name)}', '{name}', 1, 0, now(), "
        "head_hash, xid, kind, 'r.1', state, epoch, input_hash, input, namespace, "
        f"namespace_id, task_queue, '{workflow_id}', run_id, lost, cause, cause_reason, result, "
        "started_at FROM ledger.sagas WHERE operation_id = 'rent'",
        event(1, name),
    )


CLAIMED: Tries = {
    # The run of a schedule has colons in its workflow id: two names may be of one operation id.
    "a second claim of the operation id": (*claim("payment/r.1"), *claim("payment/r:1")),
}


AGAINST_ROWS = attempts_of(
    {
        "ZA004 require_events": STATE_WITHOUT_EVENT,
        "ZA003 stamp_row": ROW_AGAINST_ITS_HEAD,
        "23505 key": CLAIMED,
        "22003 type": {"a version beyond all integers": row(2**31)},
        "22007 type": {"a time that is none": row(at="'NaN'")},
    }
)
