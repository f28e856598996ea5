"""Migrates a database to the schema that this version needs."""

from pathlib import Path
from typing import cast

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from ledger.session import connect_at_once, in_one_transaction

_FOLDER = Path(__file__).parent
# Any number, the same for all: only one migration runs at a time on a database.
_ONE_AT_A_TIME = 4_107_220_001


def upgrade(owner_url: str) -> str:
    """Migrates to the newest revision and returns its name. Safe to repeat and to run twice at
    once.

    `owner_url` is a `postgresql://` address under the owner role; the roles must exist (see
    docs/operating.md).
    """
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect_at_once(owner_url), poolclass=NullPool
    )
    try:
        with engine.begin() as connection:
            # Again, for this transaction: behind a pooler it may have another session.
            connection.exec_driver_sql(in_one_transaction(_driver_version(connection)))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS ledger"))
            command.upgrade(configuration(connection), "head")
            # A ledger restored into another cluster begins a new incarnation.
            connection.execute(text("SELECT ledger.record_incarnation()"))
    finally:
        engine.dispose()
    return str(ScriptDirectory.from_config(configuration(None)).get_current_head())


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
