"""Lists all aggregate types. A new one needs its table, its rules and a line here."""

from ledger.aggregates.agent import AGENT
from ledger.aggregates.aggregate import AggregateType
from ledger.aggregates.authorization import AUTHORIZATION
from ledger.aggregates.policy import POLICY
from ledger.aggregates.resource import RESOURCE
from ledger.aggregates.saga import SAGA
from ledger.aggregates.saga_step import STEP
from ledger.aggregates.transfer import TRANSFER

AGGREGATE_TYPES: dict[str, AggregateType] = {
    aggregate_type.name: aggregate_type
    for aggregate_type in (SAGA, STEP, AUTHORIZATION, TRANSFER, AGENT, POLICY, RESOURCE)
}


def aggregate_type_of(aggregate: str) -> AggregateType:
    """The aggregate type in the first part of an aggregate's name. Raises KeyError for an unknown
    one."""
    return AGGREGATE_TYPES[aggregate.split("/", 1)[0]]
