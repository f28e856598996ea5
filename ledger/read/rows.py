"""Tells the rows of the state tables that can be read from those that can't, for lists: one bad row
is named, and the others are listed."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ledger.aggregates.errors import RowUnreadable, row_name
from ledger.aggregates.names import aggregate_type_named
from ledger.database import Database
from ledger.unreadable import unreadable_in

Row = TypeVar("Row", bound=Mapping[str, Any])


def shown(database: Database, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as it was recorded. What can't be read is None, noted, and named by `unreadable`."""
    wrong = unreadable_in(row)
    if not wrong:
        return dict(row)
    database.note(str(RowUnreadable(row_name(row), wrong)))
    return {**row, **dict.fromkeys(wrong), "unreadable": wrong}


def whole(database: Database, rows: Iterable[Row]) -> list[Row]:
    """The rows without a value that can't be read; the others are noted. Models are for `readable`,
    which takes longer."""
    found = []
    for row in rows:
        if wrong := unreadable_in(row):
            database.note(str(RowUnreadable(row_name(row), wrong)))
        else:
            found.append(row)
    return found


def readable(
    database: Database, aggregate_type: str, rows: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The rows that hold a state of this type; the others are noted."""
    return [row for row in rows if _is_readable(database, aggregate_type, row)]


def _is_readable(database: Database, aggregate_type: str, row: Mapping[str, Any]) -> bool:
    try:
        if wrong := unreadable_in(row):
            raise RowUnreadable(row_name(row), wrong)
        aggregate_type_named(aggregate_type).state_of(row)
    except RowUnreadable as error:
        database.note(str(error))
        return False
    return True
