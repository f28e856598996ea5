"""Loads the values of rows so that none of them is an error: what Python can't represent becomes an
`Unreadable` in its place, and the rows beside it are read.

PostgreSQL has times that are infinite, or of years before 1 and after 9999, numbers of more digits
than `int` takes from a text or beyond every `float`, and JSON nested deeper than Python's stack.
CHECKs keep such values out; an owner who dropped those, or a superuser, may have written one all
the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isinf
from typing import Any

from psycopg import DataError, adapters
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

from ledger.nesting import is_too_deep


@dataclass(frozen=True)
class Unreadable:
    """A value that Python can't represent. Nobody is shown it; as a parameter it is the same value
    again, so that a reader of pages goes on behind it."""

    raw: bytes = field(repr=False)

    def __str__(self) -> str:
        return "(unreadable)"


def unreadable_in(row: Mapping[str, Any]) -> list[str]:
    """The columns of a row that hold what can't be read."""
    return [name for name, value in row.items() if type(value) is Unreadable]


class _Careful(Loader):
    """Loads by the driver's own loader of the type, which may be written in C."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        inner = adapters.get_loader(oid, self.format)
        assert inner is not None
        self._load = inner(oid, context).load

    def load(self, data: Buffer) -> Any:
        try:
            value = self._load(data)
        except DataError:
            return Unreadable(bytes(data))
        # At the very ends of the calendar, some zones can't show it.
        if 1 < value.year < 9999 or _FIRST <= (value.year, value.month, value.day) <= _LAST:
            return value
        return Unreadable(bytes(data))


_FIRST, _LAST = (1, 1, 2), (9999, 12, 30)


class _CarefulBinary(_Careful):
    format = Format.BINARY


def _finite(digits: str) -> float:
    # Printed, an infinite one would be no JSON.
    if isinf(number := float(digits)):
        raise ValueError("beyond every float")
    return number


_decode = json.JSONDecoder(parse_float=_finite).decode


class _Json(Loader):
    def load(self, data: Buffer) -> Any:
        text = str(data, "utf-8")
        try:
            return Unreadable(bytes(data)) if is_too_deep(text) else _decode(text)
        except ValueError:
            return Unreadable(bytes(data))


class _JsonBinary(_Json):
    format = Format.BINARY


class _JsonbBinary(_JsonBinary):
    def load(self, data: Buffer) -> Any:
        # The version of the format comes first.
        return super().load(memoryview(data)[1:])


class _AsItCame(Dumper):
    def dump(self, obj: Unreadable) -> Buffer:
        return obj.raw


def read_carefully(connection: AdaptContext) -> None:
    """Has a connection load values so that none is an error."""
    registered = connection.adapters
    for loader in (_Careful, _CarefulBinary):
        registered.register_loader("timestamptz", loader)
        registered.register_loader("date", loader)
    registered.register_loader("json", _Json)
    registered.register_loader("json", _JsonBinary)
    registered.register_loader("jsonb", _Json)
    registered.register_loader("jsonb", _JsonbBinary)
    registered.register_dumper(Unreadable, _AsItCame)
