"""The fingerprint of a request: whether it is the first one of its operation id again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from ledger.store.canonical_json import digest

if TYPE_CHECKING:
    from ledger.aggregates.saga import SagaState

Json = dict[str, Any]
# The caller's context and the signature: a repeat comes from another session, and by another key.
ASIDE = frozenset({"metadata", "signature"})


class Fingerprint(BaseModel):
    """`given` is the digest of what the request says; `filled` are those of its forms with all
    defaults of today, and of what it says if that is all.

    `given` leaves out the defaults of the first version; those of them that the request spells out
    are `spelled`. All are without the caller's context and the signature, and empty for a request
    that no version can have admitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    given: str
    filled: list[str] = Field(default_factory=list)
    spelled: Json = Field(default_factory=dict)

    def also(self, full: "Fingerprint") -> "Fingerprint":
        """The same, and filled in as that one, too."""
        return self.model_copy(update={"filled": sorted({*self.filled, *full.filled})})

    def matches(self, saga: "SagaState") -> bool:
        """Whether the request is the one that opened the saga: it says the same, or it means the
        same by the defaults of today. A default that changed in between does not count."""
        if self.given and self.given == saga.input_hash:
            return all(saga.input.get(name, value) == value for name, value in self.spelled.items())
        return bool(self.filled) and filled(saga.input) in self.filled

    def resembles(self, other: "Fingerprint") -> bool:
        """Whether both may be fingerprints of one request; `matches` knows."""
        return self.given == other.given or not set(self.filled).isdisjoint(other.filled)


def filled(request: Mapping[str, Any]) -> str:
    """The digest of a request with all its fields. Raises TypeError for a float."""
    return digest({name: value for name, value in request.items() if name not in ASIDE})
