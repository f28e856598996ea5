"""The aggregate type `authorization`: the permission to move an amount, and the spend reserved for
it."""

from datetime import datetime
from typing import Any, Literal

from msgspec import field

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent
from ledger.aggregates.columns import Column, state_columns
from ledger.aggregates.spend_window import SpendChange

AuthorizationPhase = Literal[
    "pending_approval",
    "approved",
    "denied",
    "rejected",
    "expired",
    "voided",
    "capturing",
    "captured",
    "compensated",
]


class AuthorizationRequested(Event):
    """An agent asked for an authorization; `inputs` records what the decision is based on (agent,
    policy, spend)."""

    authorization_id: str
    saga_id: str
    agent_id: str
    amount_minor: int
    currency: str
    destination: str
    description: str
    requested_at: datetime
    policy_version: int | None
    inputs: dict[str, Any]


class AuthorizationDenied(Event):
    """The policy denied the request; `reason` is one of the contract's words."""

    reason: str


class ApprovalRequested(Event):
    """The amount is above the threshold: the spend is reserved, and a person decides before
    `expires_at`.

    `binding` ties the approval to amount, destination and policy version.
    """

    spend: list[SpendChange]
    expires_at: datetime
    binding: str


class AuthorizationApproved(Event):
    """The request was approved by the policy itself (the spend is reserved here) or by a person."""

    automatic: bool
    spend: list[SpendChange]
    binding: str
    reason: str | None = None


class AuthorizationCaptureStarted(Event):
    """The capture began: from here the transfer runs."""

    transfer_id: str


class AuthorizationCaptured(Event):
    """The transfer was executed and the authorization settled."""

    provider_reference: str


class AuthorizationReleased(Event):
    """Base of all ends that release the reserved spend to its window. Without `spend` the amount
    stays spent: money moved and could not be brought back."""

    spend: list[SpendChange]
    reason: str | None = None


class AuthorizationRejected(AuthorizationReleased):
    """A person rejected the authorization."""


class AuthorizationExpired(AuthorizationReleased):
    """The approval deadline passed without a decision."""


class AuthorizationVoided(AuthorizationReleased):
    """The authorization was cancelled before its money moved."""


class AuthorizationCompensated(AuthorizationReleased):
    """The payment was begun and compensated."""


class AuthorizationState(State, kw_only=True):
    """The state of an authorization, as a row of `ledger.authorizations`."""

    authorization_id: str
    saga_id: str
    agent_id: str
    amount_minor: int
    currency: str
    destination: str
    description: str
    state: AuthorizationPhase
    reason: str | None = None
    requested_at: datetime
    expires_at: datetime | None = None
    policy_version: int | None
    binding: str | None = None
    reserved: list[SpendChange] = field(default_factory=list)
    transfer_id: str | None = None
    provider_reference: str | None = None


def evolve(state: AuthorizationState | None, event: Event) -> AuthorizationState:
    """Folds one event into the state of an authorization. Raises UnknownEvent."""
    if state is None:
        if isinstance(event, AuthorizationRequested):
            asked = {name: value for name, value in event.fields().items() if name != "inputs"}
            return AuthorizationState(state="pending_approval", **asked)
        raise UnknownEvent(f"{type(event).__name__} can't be the first event of an authorization")
    return state.changed(**_changed(state, event))


def _changed(state: AuthorizationState, event: Event) -> dict[str, Any]:
    match event:
        case AuthorizationDenied():
            return {"state": "denied", "reason": event.reason}
        case ApprovalRequested():
            return {
                "reserved": event.spend,
                "expires_at": event.expires_at,
                "binding": event.binding,
            }
        case AuthorizationApproved():
            reserved = event.spend or state.reserved
            return {"state": "approved", "reserved": reserved, "binding": event.binding}
        case AuthorizationCaptureStarted():
            return {"state": "capturing", "transfer_id": event.transfer_id}
        case AuthorizationCaptured():
            return {"state": "captured", "provider_reference": event.provider_reference}
        case AuthorizationReleased():
            end = type(event).__name__.removeprefix("Authorization").lower()
            # What is not given back stays spent: the money is gone.
            kept = [] if event.spend else state.reserved
            return {"state": end, "reserved": kept, "reason": event.reason}
        case _:
            raise UnknownEvent(
                f"{type(event).__name__} can't follow the first event of an authorization"
            )


AUTHORIZATION = AggregateType(
    name="authorization",
    columns=state_columns(
        "authorizations",
        Column("authorization_id", "text", nullable=False),
        Column("saga_id", "text", nullable=False),
        Column("agent_id", "text", nullable=False),
        Column("amount_minor", "bigint", nullable=False),
        Column("currency", "text", nullable=False),
        Column("destination", "text", nullable=False),
        Column("description", "text", nullable=False),
        Column("state", "text", nullable=False),
        Column("reason", "text"),
        Column("requested_at", "timestamptz", nullable=False),
        Column("expires_at", "timestamptz"),
        Column("policy_version", "integer"),
        Column("binding", "text"),
        Column("reserved", "jsonb", nullable=False),
        Column("transfer_id", "text"),
        Column("provider_reference", "text"),
    ),
    state=AuthorizationState,
    events=(
        AuthorizationRequested,
        AuthorizationDenied,
        ApprovalRequested,
        AuthorizationApproved,
        AuthorizationCaptureStarted,
        AuthorizationCaptured,
        AuthorizationRejected,
        AuthorizationExpired,
        AuthorizationVoided,
        AuthorizationCompensated,
    ),
    evolve=evolve,
)


def authorization_name(authorization_id: str) -> str:
    """The aggregate name of an authorization: `authorization/7f...`."""
    return f"authorization/{authorization_id}"
