"""The aggregate type `authorization`: the permission to move an amount, and the spend reserved for
it."""

from datetime import datetime
from typing import Any, ClassVar, Literal

from msgspec import field

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, Upcaster
from ledger.aggregates.captures import (
    OF_PARTS,
    AuthorizationPartCaptured,
    AuthorizationPartReturned,
    AuthorizationPartStarted,
    AuthorizationReduced,
    AuthorizationRestReleased,
    CapturedPart,
    changed_in_parts,
    rest_of,
)
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
    policy, spend). `mandates` are the one that it names, last, and all above it, the root first."""

    upcasters: ClassVar[tuple[Upcaster, ...]] = (
        lambda old: {**old, "mandates": [], "purpose": None},
    )

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
    mandates: list[str] = field(default_factory=list)
    purpose: str | None = None


class AuthorizationDenied(Event):
    """The policy denied the request. `reasons` are all that apply, in the deciding order of the
    contract; the first is `reason`."""

    upcasters: ClassVar[tuple[Upcaster, ...]] = (lambda old: {**old, "reasons": [old["reason"]]},)

    reason: str
    reasons: list[str]


class ApprovalRequested(Event):
    """The amount is above the threshold: the spend is reserved, and a person decides before
    `expires_at`.

    `binding` ties the approval to amount, destination, mandate and policy version.
    """

    spend: list[SpendChange]
    expires_at: datetime
    binding: str


class ApprovalGiven(Event):
    """A person approved, and another one has to approve as well."""

    by: str
    reason: str | None = None


class ApprovalRepeated(Event):
    """A person who had approved approved again, and another one still has to."""

    by: str


class ApprovalRefused(Event):
    """The approval of a person was refused, for a word of the contract, under this version of the
    policy; the authorization goes on waiting."""

    by: str
    reason: str
    policy_version: int | None


class AuthorizationApproved(Event):
    """The request was approved by the policy itself (the spend is reserved here) or by a person,
    whose yes was asked of `policy_version` once more. It is captured before `capture_until`."""

    upcasters: ClassVar[tuple[Upcaster, ...]] = (
        lambda old: {**old, "by": None, "policy_version": None, "capture_until": None},
    )

    automatic: bool
    spend: list[SpendChange]
    binding: str
    reason: str | None = None
    by: str | None = None
    policy_version: int | None = None
    capture_until: datetime | None = None


class AuthorizationCaptureStarted(Event):
    """The capture began: from here the transfer runs. `spend` moves what was reserved to the
    windows of the capture, where others have begun since; `policy_version` was asked."""

    upcasters: ClassVar[tuple[Upcaster, ...]] = (
        lambda old: {**old, "spend": [], "policy_version": None},
    )

    transfer_id: str
    spend: list[SpendChange] = field(default_factory=list)
    policy_version: int | None = None


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
    """The state of an authorization, as a row of `ledger.authorizations`.

    `amount_minor` is what is authorized, at most the `requested_minor`; `captured_minor` what was
    captured of it. Captured in `parts`, `transfer_id` and `provider_reference` are those of the
    first.
    """

    authorization_id: str
    saga_id: str
    agent_id: str
    amount_minor: int
    currency: str
    destination: str
    description: str
    mandates: list[str] = field(default_factory=list)
    purpose: str | None = None
    state: AuthorizationPhase
    reason: str | None = None
    requested_at: datetime
    expires_at: datetime | None = None
    capture_until: datetime | None = None
    policy_version: int | None
    binding: str | None = None
    approved_by: list[str] = field(default_factory=list)
    attempts: int = 0
    reserved: list[SpendChange] = field(default_factory=list)
    transfer_id: str | None = None
    provider_reference: str | None = None
    requested_minor: int
    captured_minor: int = 0
    parts: list[CapturedPart] = field(default_factory=list)

    @property
    def left_minor(self) -> int:
        """What may still be captured: minor units."""
        if self.state != "approved" and (self.state != "capturing" or not self.parts):
            return 0
        taken = (part.amount_minor for part in self.parts if part.state != "returned")
        return self.amount_minor - sum(taken)

    @property
    def rest(self) -> list[SpendChange]:
        """What is reserved and captured by no part."""
        return rest_of(self.reserved, self.parts)


def evolve(state: AuthorizationState | None, event: Event) -> AuthorizationState:
    """Folds one event into the state of an authorization. Raises UnknownEvent."""
    if state is None:
        if isinstance(event, AuthorizationRequested):
            asked = {name: value for name, value in event.fields().items() if name != "inputs"}
            requested = event.amount_minor
            return AuthorizationState(state="pending_approval", requested_minor=requested, **asked)
        raise UnknownEvent(f"{type(event).__name__} can't be the first event of an authorization")
    changed = changed_in_parts if isinstance(event, OF_PARTS) else _changed
    return state.changed(**changed(state, event))


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
        case ApprovalGiven():
            return {
                "approved_by": [*state.approved_by, event.by],
                "attempts": state.attempts + 1,
            }
        case ApprovalRefused() | ApprovalRepeated():
            return {"attempts": state.attempts + 1}
        case AuthorizationApproved():
            return {
                "state": "approved",
                "approved_by": [*state.approved_by, *([event.by] if event.by else [])],
                "reserved": event.spend or state.reserved,
                "binding": event.binding,
                "capture_until": event.capture_until,
            }
        case AuthorizationCaptureStarted():
            moved = [change for change in event.spend if change.amount_minor > 0]
            gone = {change.window for change in event.spend if change.amount_minor < 0}
            kept = [change for change in state.reserved if change.window not in gone]
            return {
                "state": "capturing",
                "transfer_id": event.transfer_id,
                "reserved": [*kept, *moved],
            }
        case AuthorizationCaptured():
            return {
                "state": "captured",
                "provider_reference": event.provider_reference,
                "captured_minor": state.amount_minor,
            }
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
        Column("mandates", "jsonb", nullable=False),
        Column("purpose", "text"),
        Column("state", "text", nullable=False),
        Column("reason", "text"),
        Column("requested_at", "timestamptz", nullable=False),
        Column("expires_at", "timestamptz"),
        Column("capture_until", "timestamptz"),
        Column("policy_version", "integer"),
        Column("binding", "text"),
        Column("approved_by", "jsonb", nullable=False),
        Column("attempts", "integer", nullable=False),
        Column("reserved", "jsonb", nullable=False),
        Column("transfer_id", "text"),
        Column("provider_reference", "text"),
        Column("requested_minor", "bigint", nullable=False),
        Column("captured_minor", "bigint", nullable=False),
        Column("parts", "jsonb", nullable=False),
    ),
    state=AuthorizationState,
    events=(
        AuthorizationRequested,
        AuthorizationDenied,
        ApprovalRequested,
        ApprovalGiven,
        ApprovalRefused,
        ApprovalRepeated,
        AuthorizationReduced,
        AuthorizationApproved,
        AuthorizationCaptureStarted,
        AuthorizationCaptured,
        AuthorizationPartStarted,
        AuthorizationPartCaptured,
        AuthorizationPartReturned,
        AuthorizationRestReleased,
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
