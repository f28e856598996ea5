"""The settings that every session relies on, and the errors that a setting causes.

A session begins with whatever the server, ALTER DATABASE, ALTER ROLE, the `options` of an address
and libpq's environment variables (PGOPTIONS, PGTZ, PGDATESTYLE, ...) left in it. So each session
sets what it relies on before it does anything else: docs/decisions/022.
"""

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row

SETTINGS: Mapping[str, str] = {
    # The text of values: the driver, the hashes and `verify` read it.
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    # The text of definitions, and what a name without a schema means.
    "quote_all_identifiers": "off",
    "search_path": "pg_catalog, pg_temp",
    "standard_conforming_strings": "on",
    # The transactions for which the write path was made.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # A lost race is an error, and no reason to end the session.
    "exit_on_error": "off",
    # A verification may take hours. What must not last has a limit of its own.
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
# What a commit has answered must outlive a crash of the server; more than that is kept.
_DURABLE = "synchronous_commit", "CASE {0} WHEN 'off' THEN 'on' ELSE {0} END"
# Settings that older servers don't know: an older one may be a target of changes.
_SINCE = {"transaction_timeout": 170_000}
# They could end the session before it is set up.
_FIRST = ("transaction_timeout", "statement_timeout")

_UNPREPARED = (
    "AMENDS_DATABASE_POOLING, or the pooler's max_prepared_statements, without which it is "
    "transaction-unprepared,"
)
# What ends a statement or a session by a setting, by SQLSTATE.
_ENDED_BY = {
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57014": "statement_timeout (or somebody, by pg_cancel_backend)",
    "57P05": "idle_session_timeout",
    # A pooler gave another session, where the statement is not, or already is.
    "26000": _UNPREPARED,
    "42P05": _UNPREPARED,
}
# A library that a role, or somebody for it, has preloaded ends the connection.
_PRELOADED = re.compile(r"could not (?:access file|load library) ")
# What a server that is up may have none left of, by SQLSTATE and by text.
_SHORTAGES = (
    (
        "53300",
        re.compile(r"too many (?:clients|connections)|connection slots are reserved"),
        "PostgreSQL has too many connections, of all roles (max_connections) or of this one "
        "(CONNECTION LIMIT): end sessions that nobody uses, or try again later",
    ),
    (
        "53100",
        re.compile(r"No space left on device"),
        "the disk of the PostgreSQL server is full: free space",
    ),
)
_OF_A_CONNECTION = (psycopg.OperationalError, psycopg.ProgrammingError)
# Without an SQLSTATE, as the driver has none of a connection that was refused: PostgreSQL and
# PgBouncer name the setting.
_REFUSED_FOR = (
    re.compile(r"parameter \"(?P<name>[A-Za-z_][\w.]*)\""),
    re.compile(r"unsupported startup parameter(?: in options)?: (?P<name>[A-Za-z_][\w.]*)"),
    re.compile(r"-c \S+ requires a value|command-line argument"),
    # These are libpq's own: nothing was sent.
    re.compile(r"(?:URI query parameter:|connection option) \"(?P<name>\w+)\""),
    re.compile(r"invalid (?P<name>\w+) value: "),
    re.compile(
        r"\b(?P<name>query_wait_timeout|query_timeout|client_idle_timeout|client_login_timeout"
        r"|idle_transaction_timeout|transaction_timeout|server_lifetime|max_client_conn"
        r"|max_db_client_connections|max_user_client_connections)\b"
    ),
)


def session_settings(version: int, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings that a server of this version knows, and `more` of the caller's own."""
    known = {name: value for name, value in SETTINGS.items() if version >= _SINCE.get(name, 0)}
    return {**known, **(more or {})}


def statement(settings: Mapping[str, str], *, local: bool) -> sql.Composed:
    """The statement that sets them all, for the session or for one transaction."""
    name, value = _DURABLE
    kept = sql.SQL(value).format(sql.SQL("current_setting({})").format(name))
    calls = [
        sql.SQL("set_config({}, {}, {})").format(setting, given, local)
        for setting, given in (*settings.items(), (name, kept))
    ]
    return sql.SQL("SELECT ") + sql.SQL(", ").join(calls)


def in_one_transaction(version: int, more: Mapping[str, str] | None = None) -> str:
    """The statement that sets, for the transaction in which it is executed, what a session relies
    on, and `more`."""
    return statement(session_settings(version, more), local=True).as_string()


async def set_up(connection: AsyncConnection[Any], more: Mapping[str, str] | None = None) -> None:
    """Sets what a new session relies on, and `more`, in one round trip."""
    await connection.execute(_session(connection.info.server_version, more))


async def connect(url: str, **how: Any) -> AsyncConnection[DictRow]:
    """A connection of its own with the settings in force; `how` as psycopg takes it."""
    autocommit = how.pop("autocommit", False)
    connection = await AsyncConnection[DictRow].connect(
        url, autocommit=True, **{"row_factory": dict_row, **how}
    )
    try:
        await set_up(connection)
        await connection.set_autocommit(autocommit)
    except BaseException:
        await connection.close()
        raise
    return connection


def connect_at_once(url: str) -> psycopg.Connection[Any]:
    """As `connect`, for code that is not asynchronous: SQLAlchemy's."""
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
    try:
        connection.execute(_session(connection.info.server_version, None))
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def _session(version: int, more: Mapping[str, str] | None) -> sql.Composed:
    settings = session_settings(version, more)
    first = [
        sql.SQL("SET {} = 0; ").format(sql.Identifier(name)) for name in _FIRST if name in settings
    ]
    return sql.Composed([*first, statement(settings, local=False)])


def setting_behind(error: BaseException) -> str | None:
    """The setting that caused an error of the database or of a pooler, by name; None if none
    did."""
    state = getattr(error, "sqlstate", None)
    if state in _ENDED_BY:
        return _ENDED_BY[state]
    if not isinstance(error, _OF_A_CONNECTION) or state not in (None, "08P01"):
        return None
    if _PRELOADED.search(str(error)):
        return "local_preload_libraries, or session_preload_libraries,"
    for pattern in _REFUSED_FOR:
        if found := pattern.search(str(error)):
            return found.groupdict().get("name") or "options"
    return None


def shortage(error: BaseException) -> str | None:
    """What a server that is up has none left of, as a sentence; None if that is not the error."""
    state = getattr(error, "sqlstate", None)
    for known, pattern, sentence in _SHORTAGES:
        # Without an SQLSTATE: a connection that was refused.
        if state == known or (state is None and pattern.search(str(error))):
            return sentence
    return None
