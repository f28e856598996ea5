"""The fingerprint of a request: whether it is the first one of its operation id again."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ledger.aggregates.saga import SagaState
from ledger.store.canonical_json import digest

Json = dict[str, Any]
# The caller's context: a repeat comes from another session.
CONTEXT = "metadata"


class Fingerprint(BaseModel):
    """`given` is the digest of what the request says, `filled` with all defaults of today.

    `given` leaves out the defaults of the first version; those of them that the request spells out
    are `spelled`. Both are without the caller's context, and empty for a request that was never
    admitted by any version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    given: str
    filled: str = ""
    spelled: Json = Field(default_factory=dict)

    def matches(self, saga: SagaState) -> bool:
        """Whether the request is the one that opened the saga: it says the same, or it means the
        same by the defaults of today. A default that changed in between does not count."""
        if self.given and self.given == saga.input_hash:
            return all(saga.input.get(name, value) == value for name, value in self.spelled.items())
        return bool(self.filled) and self.filled == filled(saga.input)


def filled(request: Mapping[str, Any]) -> str:
    """The digest of a request with all its fields. Raises TypeError for a float."""
    return digest({name: value for name, value in request.items() if name != CONTEXT})
