"""Ties what an activity does to the request of its saga, which is on record with its signature:
whoever reaches Temporal can call an activity for a saga that asks for something else."""

from typing import Any, Protocol

from activities.step import Claim
from ledger.aggregates.saga import SagaState, saga_name
from ledger.errors import NotSigned
from ledger.signing import Signing
from ledger.store.commit import Loaded


class Paying(Protocol):
    """A step of a payment: its agent, and the account that gets the money."""

    @property
    def agent_id(self) -> str:
        """The agent."""

    @property
    def destination(self) -> str:
        """A CBU or an IBAN."""


def payee(request: Paying) -> dict[str, Any]:
    """What the request of a payment says of its agent and its payee."""
    kind = "cbu" if request.destination.isdecimal() else "iban"
    return {"agent_id": request.agent_id, "destination": {kind: request.destination}}


def require_asked(
    loaded: Loaded, claim: Claim, signing: Signing, kind: str, wanted: dict[str, Any]
) -> None:
    """Checks in production that the saga is of this kind, and that its request says what is
    `wanted`, by field. Raises NotSigned."""
    if not signing.required:
        return
    saga: SagaState | None = loaded[saga_name(claim.saga_id)]
    opened_with = claim.opening.input if claim.opening else {}
    asked = saga.input if saga is not None else opened_with
    if not claim.saga_id.startswith(f"{kind}/") or any(
        _given(asked.get(name)) != value for name, value in wanted.items()
    ):
        raise NotSigned(
            "invalid_signature: the saga on record asks for something else than this activity does",
            "invalid_signature",
        )


def _given(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if each is not None}
