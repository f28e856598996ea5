"""Compares a state row with the fold of its events, byte by byte."""

from collections.abc import Mapping
from typing import Any, Final

from ledger.aggregates.aggregate import AggregateType, State
from ledger.store.canonical_json import same


class _JsonNull:
    """The null of JSON in a column that would hold the null of SQL."""


JSON_NULL: Final = _JsonNull()


def differing_columns(
    aggregate_type: AggregateType, row: Mapping[str, Any], state: State
) -> list[str]:
    """The columns of a row, with JSON columns as JSON values, that are not as in the state's."""
    fields, as_json = vars(state), aggregate_type.json_columns
    wrong = [name for name, value in fields.items() if name not in as_json and row[name] != value]
    unlike = [name for name in as_json if not _same(row[name], fields[name])]
    if unlike:
        # Of models in models only their dump tells.
        dumped = state.model_dump(mode="json", include=set(unlike))
        wrong += [name for name in unlike if not _same(row[name], dumped[name])]
    return sorted(wrong, key=list(fields).index)


def _same(held: Any, folded: Any) -> bool:
    if held is None or folded is None:
        return held is folded
    return same(held, vars(folded) if isinstance(folded, State) else folded)
