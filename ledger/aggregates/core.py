"""The tables of the ledger in SQLAlchemy Core, which builds the statements of who writes."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy import Column as CoreColumn
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine, UserDefinedType

from ledger.aggregates.columns import Column, Columns, ColumnType

metadata = MetaData(schema="ledger")


class Xid8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Names the type in DDL."""
        return "XID8"


_TYPES: dict[ColumnType, TypeEngine[Any]] = {
    "bigint": BigInteger(),
    "bytea": LargeBinary(),
    "date": Date(),
    "integer": Integer(),
    "jsonb": JSONB(none_as_null=True),
    "text": Text(),
    "timestamptz": DateTime(timezone=True),
    "uuid": Uuid(),
    "xid8": Xid8(),
}


def table_of(columns: Columns) -> Table:
    """Builds the table in `metadata`. Once for each: `Columns.table` keeps it."""
    return Table(columns.name, metadata, *map(_column, columns.columns))


def _column(column: Column) -> CoreColumn[Any]:
    return CoreColumn(
        column.name,
        _TYPES[column.type],
        *([Identity(always=True)] if column.identity else []),
        nullable=column.nullable,
        primary_key=column.primary_key,
        server_default=func.now() if column.default_now else None,
    )
