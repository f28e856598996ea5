"""The kinds of resources there are, each with the model of its spec."""

from collections.abc import Mapping

from activities.providers.postgres.spec import KINDS as POSTGRES_KINDS
from activities.providers.provider import Spec

Kinds = Mapping[str, type[Spec]]

KINDS: Kinds = POSTGRES_KINDS
