"""Migrates a database to the schema that this version needs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.errors import DuplicateSchema, DuplicateTable, LockNotAvailable, UniqueViolation
from psycopg.rows import dict_row
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from ledger.errors import MigrationRefused, TableBusy
from ledger.holders import BLOCKERS, opened
from ledger.session import connect_at_once, in_one_transaction

_FOLDER = Path(__file__).parent
# Another migration takes seconds. Commits wait behind a lock that waits: so each wait is short, and
# is repeated.
_PATIENCE_S, _LOCK_TIMEOUT, _PAUSE_S, _LOOK_EVERY_S = 60.0, "2s", 1.0, 0.5
# What a migration says of a row.
_REFUSED = "ZA011"
_MADE_MEANWHILE = (UniqueViolation, DuplicateSchema, DuplicateTable)


def upgrade(owner_url: str) -> str:
    """Migrates to the newest revision and returns its name. Safe to repeat and to run twice at
    once.

    `owner_url` is a `postgresql://` address under the owner role; the roles must exist (see
    docs/operating.md). Raises TableBusy where somebody holds a table of the ledger for a minute,
    and MigrationRefused for a row that this version does not allow.
    """
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect_at_once(owner_url), poolclass=NullPool
    )
    until = time.monotonic() + _PATIENCE_S
    try:
        _make_lock(engine)
        while (holder := _upgraded(engine, owner_url)) is not None:
            if time.monotonic() >= until:
                raise TableBusy(
                    f"a table of the ledger stayed locked{holder} for {_PATIENCE_S:g} s: "
                    "end that session, or wait"
                )
            time.sleep(_PAUSE_S)
    finally:
        engine.dispose()
    return str(ScriptDirectory.from_config(configuration(None)).get_current_head())


def _upgraded(engine: Engine, owner_url: str) -> str | None:
    """Migrates, in one transaction. Returns who was in the way where a lock was not to be had."""
    try:
        with engine.begin() as connection, _watch(connection, owner_url) as seen:
            # Again, for this transaction: behind a pooler it may have another session.
            connection.exec_driver_sql(in_one_transaction(_driver(connection).info.server_version))
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            connection.exec_driver_sql("LOCK TABLE ledger.maintenance IN EXCLUSIVE MODE")
            command.upgrade(configuration(connection), "head")
            # A ledger restored into another cluster begins a new incarnation.
            connection.execute(text("SELECT ledger.record_incarnation()"))
    except (OperationalError, psycopg.Error) as error:
        # Statements of a migration may bypass SQLAlchemy.
        cause = error.orig if isinstance(error, OperationalError) else error
        if isinstance(cause, LockNotAvailable):
            return seen[-1] if seen else ""
        if isinstance(cause, psycopg.Error) and cause.sqlstate == _REFUSED:
            what = cause.diag.message_primary
            raise MigrationRefused(f"nothing was changed: {what}") from None
        raise
    return None


@contextmanager
def _watch(connection: Connection, owner_url: str) -> Iterator[list[str]]:
    """Looks, again and again beside a migration, who is in its way: as soon as the server has given
    up the wait, it does not know any more."""
    seen: list[str] = []
    done = threading.Event()
    pid = _driver(connection).info.backend_pid

    def look() -> None:
        with suppress(psycopg.Error), connect_at_once(owner_url) as other:
            other.autocommit = True
            while not done.wait(_LOOK_EVERY_S):
                cursor = other.cursor(row_factory=dict_row)
                seen.extend(f" by {opened(row)}" for row in cursor.execute(BLOCKERS, {"pid": pid}))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        done.set()
        looking.join()


def _make_lock(engine: Engine) -> None:
    """Make the table that whoever migrates locks: nobody but the owner has a right on it, so that
    no reader can hold up a migration or the start of a worker by it."""
    for statement in (
        "CREATE SCHEMA IF NOT EXISTS ledger",
        "CREATE TABLE IF NOT EXISTS ledger.maintenance ()",
    ):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(statement)
        except DBAPIError as error:
            # Of two at once, one sees neither the thing nor that it is being made.
            if not isinstance(error.orig, _MADE_MEANWHILE):
                raise


def _driver(connection: Connection) -> "psycopg.Connection[Any]":
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def configuration(connection: Connection | None) -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def read_sql(revision: str, name: str) -> str:
    """Reads the text of one SQL file of a revision."""
    return (_FOLDER / "sql" / revision / f"{name}.sql").read_text(encoding="utf-8")
