"""Attempts and legal commits for which a superuser sets the stage, past the rules."""

from tests.ledger.rules.attempt import Attempt
from tests.ledger.rules.world import AGENT, COUNTED, NOBODY, WORLD, event, moved, new_row, row

# As after the clock stepped back.
AHEAD = "now() + interval '1 hour'"
THE_HEAD = f"(SELECT head_at FROM ledger.agents WHERE aggregate_id = '{AGENT.id}')"
AHEAD_OF_THE_CLOCK = (f"UPDATE ledger.agents SET head_at = {AHEAD}",)
# Whatever the day, a moment of the next month and one of the month after that.
NEXT_MONTH, LATER_MONTH = (
    f"date_trunc('month', now(), 'UTC') + interval '{days} days'" for days in (40, 70)
)
A_LATER_TRANSACTION = "UPDATE ledger.agents SET xid = '9999999999'"
CLOSED = ("UPDATE ledger.closed_past SET until = 'infinity'",)

# What a worker could make who had a schema: operators for which nothing ever differs.
A_SCHEMA_OF_ONES_OWN = ("CREATE SCHEMA mine", "GRANT USAGE, CREATE ON SCHEMA mine TO amends_worker")
COMPARISONS = (
    ("integer", "integer", "<="),
    ("integer", "integer", ">"),
    ("bigint", "integer", "<>"),
    ("text", "text", "<>"),
    ("xid8", "xid8", "<>"),
    ("timestamptz", "timestamptz", "<>"),
)
FALSE_OPERATORS = (
    *(
        statement
        for left, right, operator in COMPARISONS
        for statement in (
            f"CREATE FUNCTION mine.never(a {left}, b {right}) RETURNS boolean "
            "LANGUAGE sql IMMUTABLE RETURN false",
            f"CREATE OPERATOR mine.{operator} "
            f"(leftarg = {left}, rightarg = {right}, function = mine.never)",
        )
        # Two operators may share one function.
        if not (statement.startswith("CREATE FUNCTION") and operator == ">")
    ),
    "SET LOCAL search_path = mine, pg_catalog",
)

ON_A_STAGE = [
    Attempt(
        "a commit that adopts an event of another",
        "ZA004",
        "require_events",
        (row(at="head_at", xid="'3'"),),
        given=(*AHEAD_OF_THE_CLOCK, event(2, at=AHEAD, xid="'3'")),
    ),
    Attempt(
        "a commit that replaces an event of another",
        "ZA005",
        "require_row",
        (event(1, at=THE_HEAD),),
        given=("DELETE FROM ledger.event_log",),
    ),
    *(
        Attempt(
            f"a row of {when} and no event",
            "ZA004",
            "require_events",
            (row(at="head_at"),),
            given=(f"UPDATE ledger.agents SET head_at = {moment}",),
        )
        for when, moment in (("the next month", NEXT_MONTH), ("a later month", LATER_MONTH))
    ),
    Attempt(
        "a time before the last one", "ZA003", "stamp_row", moved(AGENT), given=AHEAD_OF_THE_CLOCK
    ),
    Attempt(
        "another time to come after the clock stepped back",
        "ZA003",
        "stamp_row",
        (row(at="head_at + interval '1 second'"), event(at=THE_HEAD)),
        given=AHEAD_OF_THE_CLOCK,
    ),
    Attempt(
        "a commit long after its time",
        "ZA006",
        "require_events",
        moved(AGENT),
        given=(
            # Nobody waits here: every commit is late at once.
            "CREATE OR REPLACE FUNCTION ledger.late_after() RETURNS interval "
            "LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN interval '-1 hour'",
        ),
    ),
    Attempt(
        "a commit into a past that was answered for",
        "ZA007",
        "require_events",
        moved(AGENT),
        given=(f"UPDATE ledger.closed_past SET until = {AHEAD}",),
    ),
    Attempt(
        "a transaction that began to write before the last one",
        "40001",
        "stamp_row",
        (row(at="head_at"), event(at=THE_HEAD)),
        given=(*AHEAD_OF_THE_CLOCK, A_LATER_TRANSACTION),
    ),
    Attempt(
        "a past that is opened again",
        "ZA007",
        "require_events",
        ("SELECT ledger.close_past('2020-01-01')", *moved(AGENT)),
        given=CLOSED,
    ),
    Attempt(
        "operators of one's own for a row against its head",
        "ZA003",
        "stamp_row",
        (*FALSE_OPERATORS, row(1)),
        given=A_SCHEMA_OF_ONES_OWN,
    ),
    Attempt(
        "operators of one's own for a row and no event",
        "ZA004",
        "require_events",
        (*FALSE_OPERATORS, row()),
        given=A_SCHEMA_OF_ONES_OWN,
    ),
    Attempt(
        "operators of one's own for an event and no row",
        "ZA005",
        "require_row",
        (*FALSE_OPERATORS, event()),
        given=A_SCHEMA_OF_ONES_OWN,
    ),
    *(
        Attempt(
            f"a function of one's own that {called} calls",
            "42501",
            "grant",
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
            given=(
                "CREATE SCHEMA mine",
                "GRANT USAGE, CREATE ON SCHEMA mine TO amends_worker WITH GRANT OPTION",
            ),
        )
        for called, signature, body in (
            ("create_partitions(0)", "now() RETURNS timestamptz", "RETURN pg_catalog.now();"),
            (
                "close_past('2020-01-01')",
                "clock_timestamp() RETURNS timestamptz",
                "RETURN pg_catalog.now();",
            ),
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
    ),
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
    "the last time again after the clock stepped back": (
        AHEAD_OF_THE_CLOCK,
        (row(at="head_at"), event(at=THE_HEAD)),
    ),
    **{
        f"a row of {when} and its event": (
            (f"UPDATE ledger.agents SET head_at = {moment}",),
            (row(at="head_at"), event(at=THE_HEAD)),
        )
        for when, moment in (("the next month", NEXT_MONTH), ("a later month", LATER_MONTH))
    },
    "a transaction id that comes again after a restore": (
        ("UPDATE ledger.agents SET xid = pg_current_xact_id()",),
        moved(AGENT),
    ),
    "a later transaction of long ago": (
        (
            A_LATER_TRANSACTION,
            "UPDATE ledger.agents SET head_at = now() - interval '1 day'",
            "UPDATE ledger.incarnations SET began_at = '-infinity'",
        ),
        moved(AGENT),
    ),
    "a later transaction of another cluster": (
        (
            *AHEAD_OF_THE_CLOCK,
            A_LATER_TRANSACTION,
            "UPDATE ledger.incarnations SET began_at = now() + interval '2 hours'",
        ),
        (row(at="head_at"), event(at=THE_HEAD)),
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
