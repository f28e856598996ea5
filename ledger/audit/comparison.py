"""Compares a state row with the fold of its events, byte by byte."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ledger.aggregates.aggregate import AggregateType, State
from ledger.store.canonical_json import same


class _JsonNull:
    """The null of JSON in a column that would hold the null of SQL."""


JSON_NULL: Final = _JsonNull()


def differing_columns(
    aggregate_type: AggregateType, row: Mapping[str, Any], state: State
) -> list[str]:
    """The columns of a row, with JSON columns as JSON values, that are not as in the state's."""
    as_json = aggregate_type.json_columns
    return [
        name
        for name, value in state.fields().items()
        if (not _same(row[name], value) if name in as_json else row[name] != value)
    ]


def _same(held: Any, folded: Any) -> bool:
    if held is None or folded is None:
        return held is folded
    try:
        # The order of the fields of a model in a model is not that of JSON.
        return same(held, folded if type(folded) is dict else msgspec.to_builtins(folded))
    except TypeError:
        # A number that is no integer: its event is a finding of its own.
        return False
