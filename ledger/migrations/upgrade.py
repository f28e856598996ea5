"""Migrates a database to the schema that this version needs."""

from pathlib import Path
from typing import cast

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.errors import DuplicateSchema, DuplicateTable, LockNotAvailable, UniqueViolation
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from ledger.errors import TableBusy
from ledger.holders import HOLDERS, opened
from ledger.session import connect_at_once, in_one_transaction

_FOLDER = Path(__file__).parent
# Another migration takes seconds.
_PATIENCE = "60s"
_MADE_MEANWHILE = (UniqueViolation, DuplicateSchema, DuplicateTable)


def upgrade(owner_url: str) -> str:
    """Migrates to the newest revision and returns its name. Safe to repeat and to run twice at
    once.

    `owner_url` is a `postgresql://` address under the owner role; the roles must exist (see
    docs/operating.md). Raises TableBusy where somebody holds a table of the ledger for a minute.
    """
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect_at_once(owner_url), poolclass=NullPool
    )
    try:
        _make_lock(engine)
        with engine.begin() as connection:
            # Again, for this transaction: behind a pooler it may have another session.
            connection.exec_driver_sql(in_one_transaction(_driver_version(connection)))
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
            connection.exec_driver_sql("LOCK TABLE ledger.maintenance IN EXCLUSIVE MODE")
            command.upgrade(configuration(connection), "head")
            # A ledger restored into another cluster begins a new incarnation.
            connection.execute(text("SELECT ledger.record_incarnation()"))
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise TableBusy(_who_holds(engine)) from None
    finally:
        engine.dispose()
    return str(ScriptDirectory.from_config(configuration(None)).get_current_head())


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


def _who_holds(engine: Engine) -> str:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(HOLDERS).mappings().all()
    by = f" by {opened(dict(rows[0]))}" if rows else ""
    return f"a table of the ledger stayed locked{by} for {_PATIENCE}: end that session, or wait"


def _driver_version(connection: Connection) -> int:
    driver = cast(psycopg.Connection, connection.connection.driver_connection)
    return driver.info.server_version


def configuration(connection: Connection | None) -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def read_sql(revision: str, name: str) -> str:
    """Reads the text of one SQL file of a revision."""
    return (_FOLDER / "sql" / revision / f"{name}.sql").read_text(encoding="utf-8")
