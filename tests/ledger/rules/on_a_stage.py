"""Attempts and legal commits for which a superuser sets the stage, past the rules."""

from dataclasses import replace

from tests.ledger.rules.attempt import Attempt, attempts_of
from tests.ledger.rules.world import AGENT, COUNTED, NOBODY, WORLD, event, moved, new_row, row

# As after the clock stepped back.
AHEAD = "now() + interval '1 hour'"
THE_HEAD = f"(SELECT head_at FROM ledger.agents WHERE aggregate_id = '{AGENT.id}')"
AHEAD_OF_THE_CLOCK = (f"UPDATE ledger.agents SET head_at = {AHEAD}",)
# Whatever the day, a moment of the next month and one of the month after that.
OF_ANOTHER_MONTH = {
    when: (
        "UPDATE ledger.agents "
        f"SET head_at = date_trunc('month', now(), 'UTC') + interval '{days} days'",
    )
    for when, days in (("the next month", 40), ("a later month", 70))
}
AT_THE_HEAD = (row(at="head_at"), event(at=THE_HEAD))
A_LATER_TRANSACTION = "UPDATE ledger.agents SET xid = '9999999999'"
CLOSED = ("UPDATE ledger.closed_past SET until = '9999-12-01'",)

# What a worker could make who had a schema: operators for which nothing ever differs.
A_SCHEMA, GRANTED = "CREATE SCHEMA mine", "GRANT USAGE, CREATE ON SCHEMA mine TO amends_worker"
A_SCHEMA_OF_ONES_OWN = (A_SCHEMA, GRANTED)
A_TIME = "RETURNS timestamptz"
COMPARISONS = ["integer <= integer", "integer > integer", "bigint <> integer"]
COMPARISONS += [f"{kind} <> {kind}" for kind in ("text", "xid8", "timestamptz")]
FALSE_OPERATORS = (
    *(
        f"CREATE OR REPLACE FUNCTION mine.never(a {left}, b {right}) RETURNS boolean "
        "LANGUAGE sql IMMUTABLE RETURN false"
        for left, _, right in map(str.split, COMPARISONS)
    ),
    *(
        f"CREATE OPERATOR mine.{operator} "
        f"(leftarg = {left}, rightarg = {right}, function = mine.never)"
        for left, operator, right in map(str.split, COMPARISONS)
    ),
    "SET LOCAL search_path = mine, pg_catalog",
)

# name: (what refuses it, given, statements).
_REFUSED: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "a commit that adopts an event of another": (
        "ZA004 require_events",
        (*AHEAD_OF_THE_CLOCK, event(2, at=AHEAD, xid="'3'")),
        (row(at="head_at", xid="'3'"),),
    ),
    "a commit that replaces an event of another": (
        "ZA005 require_row",
        ("DELETE FROM ledger.event_log",),
        (event(1, at=THE_HEAD),),
    ),
    **{
        f"a row of {when} and no event": ("ZA004 require_events", given, (row(at="head_at"),))
        for when, given in OF_ANOTHER_MONTH.items()
    },
    "a time before the last one": ("ZA003 stamp_row", AHEAD_OF_THE_CLOCK, moved(AGENT)),
    "another time to come after the clock stepped back": (
        "ZA003 stamp_row",
        AHEAD_OF_THE_CLOCK,
        (row(at="head_at + interval '1 second'"), event(at=THE_HEAD)),
    ),
    "a commit long after its time": (
        "ZA006 require_events",
        # Nobody waits here: every commit is late at once.
        (
            "CREATE OR REPLACE FUNCTION ledger.late_after() RETURNS interval "
            "LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN interval '-1 hour'",
        ),
        moved(AGENT),
    ),
    "a commit into a past that was answered for": (
        "ZA007 require_events",
        (f"UPDATE ledger.closed_past SET until = {AHEAD}",),
        moved(AGENT),
    ),
    "a transaction that began to write before the last one": (
        "40001 stamp_row",
        (*AHEAD_OF_THE_CLOCK, A_LATER_TRANSACTION),
        AT_THE_HEAD,
    ),
    "a past that is opened again": (
        "ZA007 require_events",
        CLOSED,
        ("SELECT ledger.close_past('2020-01-01')", *moved(AGENT)),
    ),
    **{
        f"operators of one's own for {what}": (
            refused,
            A_SCHEMA_OF_ONES_OWN,
            (*FALSE_OPERATORS, statement),
        )
        for what, refused, statement in (
            ("a row against its head", "ZA003 stamp_row", row(1)),
            ("a row and no event", "ZA004 require_events", row()),
            ("an event and no row", "ZA005 require_row", event()),
        )
    },
    **{
        f"a function of one's own that {called} calls": (
            "42501 grant",
            (A_SCHEMA, f"{GRANTED} WITH GRANT OPTION"),
            (
                f"CREATE FUNCTION mine.{signature} LANGUAGE plpgsql AS $$ BEGIN "
                "IF current_user = 'amends_owner' THEN "
                "GRANT UPDATE ON ledger.alembic_version TO amends_worker; END IF; "
                f"{body} END $$",
                "GRANT USAGE ON SCHEMA mine TO amends_owner",
                "SET LOCAL search_path = mine, pg_catalog",
                f"SELECT ledger.{called}",
                "UPDATE ledger.alembic_version SET version_num = '0'",
            ),
        )
        for called, signature, body in (
            ("create_partitions(0)", f"now() {A_TIME}", "RETURN pg_catalog.now();"),
            ("close_past('2020-01-01')", f"clock_timestamp() {A_TIME}", "RETURN pg_catalog.now();"),
            (
                COUNTED.removeprefix("ledger."),
                "to_char(timestamp, text) RETURNS text",
                "RETURN '';",
            ),
            (
                "record_incarnation()",
                "pg_control_system() RETURNS TABLE (system_identifier bigint)",
                "RETURN QUERY SELECT c.system_identifier FROM pg_catalog.pg_control_system() c;",
            ),
        )
    },
}
ON_A_STAGE = [
    replace(attempt, given=given)
    for name, (refused, given, statements) in _REFUSED.items()
    for attempt in attempts_of({refused: {name: statements}})
]

# name: (given, statements). Rules that refuse one of these refuse too much.
_LEGAL: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a row and its event": ((), (row(), event())),
    "an event and then its row": ((), (event(), row())),
    "two events and their row": ((), (event(2), event(3), row(3))),
    "a new row and its event": ((), (new_row(), event(1, NOBODY))),
    "two aggregates": ((), (*moved(AGENT), new_row(), event(1, NOBODY))),
    "a row written again after its first writing was rolled back": (
        (),
        ("SAVEPOINT one", *moved(AGENT), "ROLLBACK TO one", *moved(AGENT)),
    ),
    "the last time again after the clock stepped back": (AHEAD_OF_THE_CLOCK, AT_THE_HEAD),
    **{
        f"a row of {when} and its event": (given, AT_THE_HEAD)
        for when, given in OF_ANOTHER_MONTH.items()
    },
    "a transaction id that comes again after a restore": (
        ("UPDATE ledger.agents SET xid = pg_current_xact_id()",),
        moved(AGENT),
    ),
    "a later transaction of long ago": (
        (
            A_LATER_TRANSACTION,
            "UPDATE ledger.agents SET head_at = now() - interval '1 day'",
            "UPDATE ledger.incarnations SET began_at = '2000-01-01'",
        ),
        moved(AGENT),
    ),
    "a later transaction of another cluster": (
        (
            *AHEAD_OF_THE_CLOCK,
            A_LATER_TRANSACTION,
            "UPDATE ledger.incarnations SET began_at = now() + interval '2 hours'",
        ),
        AT_THE_HEAD,
    ),
    "a past that nobody can close yet": (
        (),
        ("SELECT ledger.close_past('infinity')", *moved(AGENT)),
    ),
    **{f"{known.table}: a row and its event": ((), moved(known)) for known in WORLD.values()},
}
LEGAL = [
    Attempt(name, "", "", statements, given=given) for name, (given, statements) in _LEGAL.items()
]
