"""All aggregate types with their models. A new one needs its table, its rules and a line in
`ledger.aggregates.names`."""

from ledger.aggregates.aggregate import AggregateType
from ledger.aggregates.names import NAMED, aggregate_type_named

AGGREGATE_TYPES: dict[str, AggregateType] = {name: aggregate_type_named(name) for name in NAMED}
