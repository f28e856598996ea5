"""What an attempt on the rules is, how it is made, and how it shows that nothing has changed."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal, Self

from psycopg import AsyncConnection

Connection = AsyncConnection[Any]

Role = Literal["worker", "auditor", "owner", "superuser"]
# Tables and definitions with a digest of what is in them.
Look = dict[str, str]


@dataclass(frozen=True)
class Copy:
    """COPY ... FROM STDIN with its rows."""

    statement: str
    rows: tuple[tuple[object, ...], ...] = ()


@dataclass(frozen=True)
class Attempt:
    """Statements of one transaction that the database must refuse, at the latest at its commit.

    `rule` is what refuses it and `refusal` its SQLSTATE; `{partition}` in a statement stands for
    the partition of this month. `given` is what a superuser does first, past the rules.
    """

    name: str
    refusal: str
    rule: str
    statements: tuple[str | Copy, ...]
    role: Role = "worker"
    given: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        return [each if isinstance(each, str) else each.statement for each in self.statements]


# name: what is tried, in one statement or several.
Tries = dict[str, str | Copy | tuple[str | Copy, ...]]


def attempts_of(told: Mapping[str, Tries], role: Role = "worker") -> list[Attempt]:
    """The attempts of tables of them, by the SQLSTATE and the rule that refuse them."""
    return [
        Attempt(name, refusal, rule, tried if isinstance(tried, tuple) else (tried,), role)
        for (refusal, _, rule), tries in ((key.partition(" "), told[key]) for key in told)
        for name, tried in tries.items()
    ]


# The functions that refuse; any other `rule` is PostgreSQL's.
OUR_RULES = frozenset(
    {"stamp_row", "require_events", "require_row", "refuse_change", "create_partitions"}
)

# What our own refusals say, so that nobody has to look a code up.
SAYS = {
    "ZA001": ("no state table for the noun of",),
    "ZA002": ("the ledger only grows; write a new event instead",),
    "ZA003": (
        "one commit writes it once",
        "can't become another aggregate",
        "the next must be higher",
        "is not within this transaction",
        "has no place in ledger.",
    ),
    "ZA004": ("no state without event",),
    "ZA005": ("no event without state",),
    "ZA006": ("the past is closed, try again",),
    "ZA007": ("in a past that was answered for",),
    "ZA008": ("claims another identity than that of its name",),
    "ZA010": ("months ahead",),
    "40001": ("which began to write after this one",),
}


async def carry_out(
    connection: Connection, statements: Iterable[str | Copy], partition: str
) -> None:
    """Each statement under a snapshot of its own, as an attacker would; the end is the caller's."""
    for statement in statements:
        text = statement.statement if isinstance(statement, Copy) else statement
        query = text.replace("{partition}", partition).encode()
        if isinstance(statement, Copy):
            async with connection.cursor() as cursor, cursor.copy(query) as copy:
                for values in statement.rows:
                    await copy.write_row(values)
        else:
            await connection.execute(query)


class Attacked:
    """A ledger under attack: attempts are made by the login of their role, and really committed.

    `urls` by role. `partition`: the name of the one that holds the events.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = urls
        self.partition = ""
        self._stack = AsyncExitStack()
        self._logins: dict[str, Connection] = {}

    async def __aenter__(self) -> Self:
        connection = await self.login("superuser")
        cursor = await connection.execute(
            "SELECT DISTINCT tableoid::regclass::text FROM ledger.event_log"
        )
        [(partition,)] = await cursor.fetchall()
        # A transaction left open would hold a lock on the log.
        await connection.rollback()
        self.partition = partition.removeprefix("ledger.")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def login(self, role: str) -> Connection:
        """The connection of a role: one for all that it does."""
        if role not in self._logins:
            opened = await AsyncConnection.connect(self.urls[role])
            self._logins[role] = await self._stack.enter_async_context(opened)
        return self._logins[role]

    async def make(self, attempt: Attempt) -> None:
        """All statements in one transaction, and its commit."""
        connection = await self.login(attempt.role)
        try:
            await carry_out(connection, attempt.statements, self.partition)
            await connection.commit()
        finally:
            await connection.rollback()

    async def damage(self, *statements: str) -> None:
        """Past the rules, as only a superuser can."""
        connection = await self.login("superuser")
        await connection.execute("SET LOCAL session_replication_role = replica")
        await carry_out(connection, statements, self.partition)
        await connection.commit()

    async def look(self) -> Look:
        """A digest of every table of the ledger and of every definition that rules are made of."""
        connection = await self.login("superuser")
        cursor = await connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'ledger'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
        )
        tables = {name: f"SELECT * FROM {name}" for (name,) in await cursor.fetchall()}
        # One statement, one digest each, whatever order the rows come in.
        digest = " UNION ALL ".join(
            f"SELECT '{name}', md5(coalesce(string_agg(r::text, chr(10) ORDER BY r::text), '')) "
            f"FROM ({query}) r"
            for name, query in (tables | _DEFINITIONS).items()
        )
        cursor = await connection.execute(digest.encode())
        found: Look = dict(await cursor.fetchall())
        await connection.rollback()
        return found


_DEFINITIONS = {
    "tables": "SELECT relname, relkind, relacl, relowner, relhastriggers, "
    "pg_get_expr(relpartbound, oid) FROM pg_class WHERE relnamespace = 'ledger'::regnamespace",
    "columns": "SELECT attrelid::regclass, attname, atttypid, attnotnull, attacl, attislocal "
    "FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
    "WHERE relnamespace = 'ledger'::regnamespace",
    "triggers": "SELECT tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(oid) "
    "FROM pg_trigger",
    "rules": "SELECT ev_class::regclass, rulename, pg_get_ruledef(oid) FROM pg_rewrite "
    "WHERE rulename <> '_RETURN'",
    "constraints": "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) "
    "FROM pg_constraint WHERE connamespace = 'ledger'::regnamespace",
    "functions": "SELECT oid::regprocedure, pg_get_functiondef(oid), proacl FROM pg_proc "
    "WHERE pronamespace = 'ledger'::regnamespace",
    "schemas": "SELECT nspname, nspacl FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'",
    "roles": "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles",
    "members": "SELECT roleid, member FROM pg_auth_members",
    "role settings": "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting",
}
