"""Specs of roles, databases and schemas, and the names they may have."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from activities.providers.provider import Spec

# PostgreSQL cuts a longer identifier off, and would then mean another thing (NAMEDATALEN - 1).
MAX_NAME_BYTES = 63
# `amends_` is ours: our own roles, and databases in the making. `pg_` is PostgreSQL's.
RESERVED_PREFIXES = ("amends_", "pg_")
RESERVED_NAMES = frozenset(
    {"postgres", "template0", "template1", "public", "information_schema", "none"}
)
UNLIMITED = -1


def check_identifier(name: str) -> str:
    """Checks a new name for the target server and returns it unchanged. Raises ValueError with the
    reason."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError("a name is [a-z][a-z0-9_-]*: a small letter, then small letters, digits")
    refuse_reserved(name)
    return name


def refuse_reserved(name: str) -> None:
    """Raises ValueError for a name that is never ours to touch, whatever was admitted: PostgreSQL
    takes it for another one, or it belongs to the server or to Amends."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ValueError("a name is made of letters, digits, . _ -")
    if len(name) > MAX_NAME_BYTES:
        raise ValueError(f"a name has at most {MAX_NAME_BYTES} characters, this one {len(name)}")
    if name in RESERVED_NAMES:
        raise ValueError("this name belongs to PostgreSQL")
    for prefix in RESERVED_PREFIXES:
        if name.startswith(prefix):
            raise ValueError(f"names that begin with {prefix} are reserved")


Identifier = Annotated[str, AfterValidator(check_identifier)]
ConnectionLimit = Annotated[int, Field(ge=UNLIMITED, lt=2**31, strict=True)]


def _room_for_us(limit: int) -> int:
    if limit == 0:
        raise ValueError("0 would lock out the provider too: at least 1, or -1 for no limit")
    return limit


class PostgresSpec(Spec):
    """Base of the specs on a PostgreSQL server; a resource's name is its identifier there."""

    @classmethod
    def check_name(cls, name: str) -> str:
        """See Spec."""
        return check_identifier(name)


class RoleSpec(PostgresSpec):
    """A role, which gets no password: secrets never pass through a saga.

    Give it one yourself (`\\password` in psql), or let pg_hba.conf admit it by certificate, peer
    or another method. `connection_limit` is -1 for no limit.
    """

    login: Annotated[bool, Field(strict=True)] = True
    connection_limit: ConnectionLimit = UNLIMITED


class DatabaseSpec(PostgresSpec):
    """A database and the role that owns it. `connection_limit` is -1 for no limit."""

    references: ClassVar[frozenset[str]] = frozenset({"owner"})
    holds_data: ClassVar[bool] = True

    owner: Identifier
    connection_limit: Annotated[ConnectionLimit, AfterValidator(_room_for_us)] = UNLIMITED


class SchemaSpec(PostgresSpec):
    """A schema in a database, and the role that owns it."""

    identity: ClassVar[frozenset[str]] = frozenset({"database"})
    references: ClassVar[frozenset[str]] = frozenset({"database", "owner"})
    holds_data: ClassVar[bool] = True

    database: Identifier
    owner: Identifier


KINDS: Mapping[str, type[Spec]] = MappingProxyType(
    {
        "postgres.role": RoleSpec,
        "postgres.database": DatabaseSpec,
        "postgres.schema": SchemaSpec,
    }
)
