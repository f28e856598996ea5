"""Renders statements of SQLAlchemy Core as the text that psycopg or the server reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

# Core renders these once per statement; on the hot path psycopg runs the text as it is.
_DIALECT = psycopg_dialect()  # type: ignore[no-untyped-call]
_POSITIONAL = psycopg_dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


def compiled(statement: ClauseElement) -> str:
    """The SQL text of a Core statement, with psycopg's named parameters."""
    return str(statement.compile(dialect=_DIALECT))


@dataclass(frozen=True)
class Statement:
    """A statement in the form the server reads, `$1` for the value of the first name."""

    text: str
    names: tuple[str, ...]

    def values(self, given: Mapping[str, str | None]) -> list[str | None]:
        """The values in the order of the statement, as text. Raises KeyError for a missing one."""
        return [given[name] for name in self.names]


def positional(statement: ClauseElement) -> Statement:
    """Compiles a Core statement for the hot path: its text goes to the server unchanged."""
    made = cast(SQLCompiler, statement.compile(dialect=_POSITIONAL))
    return Statement(str(made), tuple(made.positiontup or ()))
