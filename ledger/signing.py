"""Whether a ledger takes decisions that nobody signed, and whose keys may register others."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Signing:
    """The rules by which a worker takes what it is asked.

    `required`: a request or a decision without a signature is refused. `officers` are the ids of
    the keys that register the keys of others, and themselves (docs/decisions/038). `ledger` is the
    name of the ledger, which each signature has to name.
    """

    required: bool = False
    officers: frozenset[str] = field(default_factory=frozenset)
    ledger: str | None = None


ANYBODY = Signing()
