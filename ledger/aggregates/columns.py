"""Describes the tables of the ledger, and builds their SQLAlchemy form for who writes.

Readers need the names of columns only: SQLAlchemy takes longer to import than all else of a
command.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sqlalchemy import Table

ColumnType = Literal[
    "bigint", "bytea", "date", "integer", "jsonb", "text", "timestamptz", "uuid", "xid8"
]


@dataclass(frozen=True)
class Column:
    """A column by the name of its type in PostgreSQL. A null of a nullable `jsonb` is SQL's."""

    name: str
    type: ColumnType
    nullable: bool = True
    primary_key: bool = False
    # Numbered by the database, always.
    identity: bool = False
    # Filled in by the database with the time of the transaction.
    default_now: bool = False

    @property
    def is_json(self) -> bool:
        """Whether the column holds JSON."""
        return self.type == "jsonb"


@dataclass(frozen=True)
class Columns:
    """The columns of the table `name` in the schema `ledger`, in their order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def table(self) -> "Table":
        """The table as SQLAlchemy Core knows it, in `ledger.aggregates.core.metadata`."""
        from ledger.aggregates.core import table_of

        return table_of(self)


# What every state table begins with.
HEAD = (
    Column("aggregate_id", "uuid", nullable=False),
    Column("aggregate", "text", nullable=False),
    Column("version", "integer", nullable=False),
    Column("base", "integer", nullable=False),
    Column("head_at", "timestamptz", nullable=False),
    Column("head_hash", "bytea", nullable=False),
    Column("xid", "xid8", nullable=False),
)


def state_columns(name: str, *columns: Column, key: tuple[str, ...] = ("aggregate_id",)) -> Columns:
    """Describes a state table: the head columns that the database's rules check, then its own
    columns.

    The head: `version` events so far, `base` of them before the transaction `xid` that wrote last,
    `head_at` their time, `head_hash` the hash of the last.
    """
    found = (replace(each, primary_key=each.name in key) for each in (*HEAD, *columns))
    return Columns(name, tuple(found))
