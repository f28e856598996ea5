"""The errors of a reader that meets what it can't read."""

from collections.abc import Mapping, Sequence
from typing import Any


class UnknownEvent(Exception):
    """An event whose type or version this release can't read: skipping it would falsify the
    fold."""


def row_name(row: Mapping[str, Any]) -> str:
    """The name of a row: its aggregate, or the id of that where the name is empty."""
    return str(row.get("aggregate") or row.get("aggregate_id"))


class RowUnreadable(Exception):
    """The row of `where` holds what can't be read, in these columns, and all other rows can be
    read: run `amends verify`, and `amends rebuild` where the row is wrong. Nothing was changed."""

    def __init__(self, where: str, columns: Sequence[str]) -> None:
        named = ", ".join(columns) or "some column"
        super().__init__(f"{named} of the row of {where[:200]} can't be read: run amends verify")
        self.where, self.columns = where, tuple(columns)
