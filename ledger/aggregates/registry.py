"""All the nouns there are. A new one needs its table, its rules and a line here."""

from ledger.aggregates.agent import AGENT
from ledger.aggregates.aggregate import Noun
from ledger.aggregates.authorization import AUTHORIZATION
from ledger.aggregates.policy import POLICY
from ledger.aggregates.resource import RESOURCE
from ledger.aggregates.saga import SAGA
from ledger.aggregates.saga_step import STEP
from ledger.aggregates.transfer import TRANSFER

NOUNS: dict[str, Noun] = {
    noun.name: noun for noun in (SAGA, STEP, AUTHORIZATION, TRANSFER, AGENT, POLICY, RESOURCE)
}


def noun_of(aggregate: str) -> Noun:
    """The noun of an aggregate by the first part of its name. Raises KeyError if there is none."""
    return NOUNS[aggregate.split("/", 1)[0]]
