"""Every rule of the database, each with the SQL that takes away that one and nothing else.

Triggers, keys, checks and grants come from the catalog, so that a new one is in the list by itself.
What stands inside the functions is replaced in the text of their SQL files; `unmutated` tells the
lines that no mutant touches.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from ledger.migrations.upgrade import read_sql
from tests.ledger.rules.against_grants import STATES, privileges_not_held
from tests.ledger.rules.replaced import REPLACED
from tests.ledger.rules.world import WORLD

Connection = AsyncConnection[Any]
# The revision that wrote a function last; all others are of the first.
REVISIONS = {"create_partitions": "0005", "close_past": "0005", "require_events": "0005"}
REVISIONS |= {"stamp_row": "0014", "require_row": "0014"}


@dataclass(frozen=True)
class Mutant:
    """One rule less. `family` names it in the table; rules of one kind share a line.

    `rules`, `table` and `role` tell the attempts whose outcome it may change: those that these
    rules refuse, on this table, of this role. No rule is named where a value is gone and not a
    refusal: then any attempt may get through.
    """

    name: str
    family: str
    statements: tuple[str, ...]
    rules: frozenset[str] = frozenset()
    table: str = ""
    role: str = ""

    # Matters only to a session that sets it otherwise.
    setting: bool = False

    @property
    def in_a_function(self) -> bool:
        return not self.table and not self.role


# Where another function carries out what this one makes.
WHO_REFUSES = {
    "create_partition": "refuse_change",
    "close_past": "require_events",
    "write_count_events": "require_events",
}
# The branches of require_row, one per aggregate type.
_BRANCH = re.compile(r"WHEN '(\w+)' THEN SELECT .*?;", re.DOTALL)
# Lines that frame the rules.
_FRAME = re.compile(
    r"(BEGIN|END|END IF;|END CASE;|ELSE|DECLARE|RETURN (NEW|NULL);|\w+ (record|bigint|text);|--.*"
    r"|IF TG_OP = 'INSERT' THEN|CASE .*|events bigint := ledger\.count_events\(|NEW\.\w+, .*\);"
    # What makes the text of count_events. The names of the months only spare locks.
    r"|today timestamp := .*|body  text := .*|\$body\$,|'event_log_' \|\| .*)?"
)
_WRITING = re.compile(r"IF body IS DISTINCT FROM .*?, body\);", re.DOTALL)
_REFUSAL = re.compile(r"RAISE EXCEPTION .*?USING ERRCODE = '\w+';", re.DOTALL)
# What is bounded in every table, by the type of the values.
_BOUND = re.compile("_(moments|dates|numbers|texts|json|hashes)$")
# What is left of a condition when each of its parts has a mutant.
_GLUE = re.compile(r"\b(IF|OR|AND|WHERE|THEN)\b|[;')]")


def _texts(replaced: str | tuple[str, str]) -> tuple[str, str]:
    """A text of a rule and what stands in its place."""
    if isinstance(replaced, tuple):
        return replaced
    return replaced, "IF false THEN" if replaced.startswith("IF ") else ""


TEXTS = {
    file: {what: _texts(text) for what, text in rules.items()} for file, rules in REPLACED.items()
}


def _text(file: str) -> str:
    return read_sql(REVISIONS.get(file, "0001"), file)


def _function(file: str, old: str, new: str) -> str:
    text = _text(file)
    assert text.count(old) == 1, f"{file}.sql has no longer, or more than once: {old}"
    return text.replace(old, new).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def in_functions() -> Iterator[Mutant]:
    """One per condition, assignment and branch."""
    for file, replaced in TEXTS.items():
        for what, (old, new) in replaced.items():
            name = f"{file}: {what}"
            # A value that is no longer set may let any attempt through.
            rules = set() if ":=" in old else {WHO_REFUSES.get(file, file)}
            yield Mutant(name, name, (_function(file, old, new),), frozenset(rules))
    for branch in _BRANCH.finditer(_text("require_row")):
        mutated = _function("require_row", branch[0], "")
        family = "require_row: an event of each aggregate type finds its row"
        yield Mutant(f"{family}: {branch[1]}", family, (mutated,), frozenset({"require_row"}))


def unmutated() -> dict[str, list[str]]:
    """The lines of the rules that no mutant touches, by file: there shall be none."""
    files = ("stamp_row", "require_events", "write_count_events", "require_row", "refuse_change")
    return {file: lines for file in files if (lines := _untouched(file))}


def _untouched(file: str) -> list[str]:
    body = _text(file).split("$$")[1]
    spans = [found.span() for found in _BRANCH.finditer(body)]
    # A refusal is part of the condition before it.
    spans += [found.span() for found in (*_REFUSAL.finditer(body), *_WRITING.finditer(body))]
    for old, _ in TEXTS[file].values():
        begins = body.index(old)
        spans.append((begins, begins + len(old)))
    for begins, ends in spans:
        # Nothing but the ends of its lines.
        body = body[:begins] + re.sub(".", " ", body[begins:ends]) + body[ends:]
    lines = (line.strip() for line in body.splitlines())
    return [line for line in lines if not _FRAME.fullmatch(line) and _GLUE.sub("", line).strip()]


async def triggers(connection: Connection, partition: str) -> list[Mutant]:
    """One per trigger of each table. Those of the log are switched off in its partitions too."""
    cursor = await connection.execute(
        "SELECT tgname, relname, proname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid "
        "JOIN pg_proc p ON p.oid = tgfoid WHERE relnamespace = 'ledger'::regnamespace "
        "AND NOT tgisinternal AND tgparentid = 0 "
        # Of the partitions, the one that holds the events.
        "AND (NOT relispartition OR relname = %s) ORDER BY relname, tgname",
        (partition,),
    )
    return [
        Mutant(
            f"trigger {trigger} on {table}",
            f"trigger {trigger} on {_kind(table, partition)}",
            (f"ALTER TABLE ledger.{table} DISABLE TRIGGER {trigger}",),
            frozenset({function}),
            table,
        )
        for trigger, table, function in await cursor.fetchall()
    ]


async def constraints(connection: Connection) -> list[Mutant]:
    """One per key, check and NOT NULL of the log, the state tables and the spend windows.

    Not the NOT NULL that a primary key or an identity needs: PostgreSQL doesn't give those up.
    """
    tables = [*STATES, "event_log"]
    cursor = await connection.execute(
        "SELECT relname, conname, contype, quote_ident(attname) FROM pg_constraint k "
        "JOIN pg_class c ON c.oid = conrelid "
        "LEFT JOIN pg_attribute a ON contype = 'n' AND attrelid = conrelid AND attnum = conkey[1] "
        "WHERE relnamespace = 'ledger'::regnamespace AND relname = ANY(%s) "
        "AND contype IN ('c', 'n', 'p', 'u') AND coalesce(attidentity, '') = '' "
        "AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.conrelid = k.conrelid "
        "AND k.contype = 'n' AND p.contype = 'p' AND k.conkey <@ p.conkey) ORDER BY 1, 2",
        (tables,),
    )
    found = [_constraint(*row) for row in await cursor.fetchall()]
    cursor = await connection.execute(
        "SELECT c.relname, i.relname FROM pg_index JOIN pg_class i ON i.oid = indexrelid "
        "JOIN pg_class c ON c.oid = indrelid WHERE c.relname = ANY(%s) AND indisunique "
        "AND c.relnamespace = 'ledger'::regnamespace "
        "AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid) ORDER BY 1, 2",
        (tables,),
    )
    for table, index in await cursor.fetchall():
        name, dropped = f"unique index {index}", f"DROP INDEX ledger.{index}"
        found.append(Mutant(name, name, (dropped,), frozenset({"key"}), table))
    return found


def _constraint(table: str, name: str, kind: str, column: str | None) -> Mutant:
    change = f"ALTER {column} DROP NOT NULL" if kind == "n" else f"DROP CONSTRAINT IF EXISTS {name}"
    # A partition keeps its own when the log gives up its.
    places = [table, "{partition}"] if table == "event_log" and kind != "p" else [table]
    statements = tuple(f"ALTER TABLE ledger.{place} {change}" for place in places)
    if kind == "n":
        rule = f"NOT NULL {table}.{str(column).strip(chr(34))}"
        family = f"NOT NULL of {_column(table, column)} in {_kind(table)}"
    else:
        rule = "check" if kind == "c" else "key"
        family = f"check {name}" if table == "event_log" else f"{rule} of {_kind(table)}"
        if bound := _BOUND.search(name):
            family = f"check of {bound[1]} in {_kind(table)}"
        family = "key of event_log" if (table, rule) == ("event_log", "key") else family
    return Mutant(f"{rule} {name}", family, statements, frozenset({rule}), table)


def _column(table: str, name: str | None) -> str:
    head = {"aggregate_id", "aggregate", "version", "base", "head_at", "head_hash", "xid"}
    return str(name) if name in head or table == "event_log" else "the aggregate type's columns"


def _kind(table: str, partition: str = "") -> str:
    if table == partition:
        return "a partition"
    return "a state table" if table in WORLD else table


def on_tables(partition: str) -> Iterator[Mutant]:
    """One per table and privilege that a role has not."""
    for role in ("worker", "auditor"):
        for table, privilege in privileges_not_held(role):
            name = f"{role} has no {privilege}"
            named = "a partition" if table == "{partition}" else table
            place = table.replace("{partition}", partition)
            grant = f"GRANT {privilege} ON ledger.{place} TO amends_{role}"
            yield Mutant(f"{name} on {named}", name, (grant,), frozenset({"grant"}), place, role)


_ALL = "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA ledger TO PUBLIC"
# What else a role has not: (role, name, SQL that gives it).
GIVEN = (
    ("worker", "may not set a position", "GRANT INSERT (position) ON ledger.event_log TO {}"),
    ("worker", "may not set a transaction id", "GRANT INSERT (xid) ON ledger.event_log TO {}"),
    ("worker", "may not use the sequence",
     "GRANT ALL ON SEQUENCE ledger.event_log_position_seq TO {}"),
    ("worker", "may not create in the schema", "GRANT CREATE ON SCHEMA ledger TO {}"),
    ("worker", "may not create a schema",
     "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {}', current_database()); END $$"),
    ("worker", "nobody may use all functions", _ALL),
    ("auditor", "nobody may use all functions, the auditor too", _ALL),
    ("worker", "is not the owner", "GRANT amends_owner TO {}"),
    ("worker", "is not the auditor", "GRANT amends_auditor TO {}"),
    ("auditor", "is not the worker", "GRANT amends_worker TO {}"),
    ("worker", "is no superuser", "ALTER ROLE {} SUPERUSER"),
    ("auditor", "is no superuser", "ALTER ROLE {} SUPERUSER"),
    ("worker", "makes no roles", "ALTER ROLE {} CREATEROLE"),
    ("owner", "is no superuser", "ALTER ROLE {} SUPERUSER"),
)  # fmt: skip


def given() -> Iterator[Mutant]:
    for role, what, statement in GIVEN:
        name = what if what.startswith("nobody") else f"{role} {what}"
        gift = statement.replace("{}", f"amends_{role}")
        yield Mutant(name, name, (gift,), frozenset({"grant"}), "", role)


async def settings(connection: Connection) -> list[Mutant]:
    """One per setting that a function is pinned to, and the defaults and identities of the log."""
    cursor = await connection.execute(
        "SELECT proname, p.oid::regprocedure, prokind, split_part(setting, '=', 1) "
        "FROM pg_proc p, unnest(proconfig) setting "
        "WHERE pronamespace = 'ledger'::regnamespace ORDER BY 1, 4"
    )
    found = []
    for name, signature, kind, setting in await cursor.fetchall():
        reset = f"ALTER {'PROCEDURE' if kind == 'p' else 'FUNCTION'} {signature} RESET {setting}"
        found.append(Mutant(f"{setting} of {name}", f"{setting} of {name}", (reset,), setting=True))
    default = "ALTER TABLE ledger.event_log ALTER xid DROP DEFAULT"
    always = "ALTER TABLE ledger.event_log ALTER position SET GENERATED BY DEFAULT"
    return [
        *found,
        Mutant("default of xid", "the event carries its transaction", (default,)),
        Mutant("identity of position", "position is GENERATED ALWAYS", (always,)),
    ]


async def all_mutants(connection: Connection, partition: str) -> list[Mutant]:
    """Every rule of the ledger, as it is in this database."""
    return [
        *await triggers(connection, partition),
        *in_functions(),
        *await settings(connection),
        *await constraints(connection),
        *on_tables(partition),
        *given(),
    ]
