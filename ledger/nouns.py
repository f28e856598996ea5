"""All the nouns there are. A new one needs its table, its rules and a line here."""

from ledger.agents import AGENT
from ledger.authorizations import AUTHORIZATION
from ledger.noun import Noun
from ledger.policies import POLICY
from ledger.resources import RESOURCE
from ledger.saga_steps import STEP
from ledger.sagas import SAGA
from ledger.transfers import TRANSFER

NOUNS: dict[str, Noun] = {
    noun.name: noun for noun in (SAGA, STEP, AUTHORIZATION, TRANSFER, AGENT, POLICY, RESOURCE)
}


def noun_of(aggregate: str) -> Noun:
    """The noun of an aggregate by the first part of its name. Raises KeyError if there is none."""
    return NOUNS[aggregate.split("/", 1)[0]]
