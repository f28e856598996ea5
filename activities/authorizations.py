"""Activities on authorizations: the policy decides and the spend is reserved in one commit; a
person decides above the threshold; all ends but a capture release the spend to its window."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from zoneinfo import ZoneInfo

from pydantic import JsonValue
from temporalio import activity

from activities.step import Claim, Request
from ledger.aggregates.agent import AgentState, agent_name
from ledger.aggregates.aggregate import Event, State
from ledger.aggregates.authorization import (
    ApprovalRequested,
    AuthorizationApproved,
    AuthorizationCaptured,
    AuthorizationCompensated,
    AuthorizationDenied,
    AuthorizationExpired,
    AuthorizationRejected,
    AuthorizationReleased,
    AuthorizationRequested,
    AuthorizationState,
    AuthorizationVoided,
    authorization_name,
)
from ledger.aggregates.policy import PolicyState, policy_name
from ledger.aggregates.saga import SagaState, SagaWaitStarted, saga_name
from ledger.aggregates.saga_step import StepUndone
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.aggregates.step_report import UndoReport
from ledger.aggregates.transfer import TransferState, transfer_name
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read.current_state import state_of
from ledger.sagas.step_log import commit_step, undo_step
from ledger.store.canonical_json import digest
from ledger.store.commit import Decision, Loaded, Ref

Json = dict[str, Any]
# Any person decides on an approval.
ANY_USER = "user"


class Authorize(Request):
    """A request of an agent to pay: minor units, ISO 4217, a checked CBU."""

    agent_id: str
    amount_minor: int
    currency: str
    destination: str
    description: str
    approve_within: timedelta


class Authorized(Request):
    """The current state of an authorization, and since when the saga waits for a decision on it.
    `admitted` is the request of the saga, where this answer opened it."""

    authorization_id: str
    state: str
    reason: str | None = None
    expires_at: datetime | None = None
    waits_since: datetime | None = None
    transfer_id: str | None = None
    admitted: dict[str, JsonValue] | None = None


class Approve(Request):
    """The approval of an authorization by a person."""

    authorization_id: str
    reason: str | None = None


class Settle(Request):
    """The executed transfer of an authorization."""

    authorization_id: str
    provider_reference: str


def authorization_of(saga_id: str) -> str:
    """The id of the one authorization of a payment: derived, so a repeat finds the same."""
    return str(uuid5(NAMESPACE_OID, f"amends:authorization:{saga_id}"))


def transfer_of(saga_id: str) -> str:
    """The id of the one transfer of a payment: derived, so a repeat finds the same."""
    return str(uuid5(NAMESPACE_OID, f"amends:transfer:{saga_id}"))


class AuthorizationActivities:
    """Decisions on payments, which write only to our database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def authorize(self, claim: Claim, request: Authorize) -> Authorized:
        """Decides a request by the policy, and reserves the spend in the same commit; where a
        person decides, or captures, that commit also records the wait."""
        authorization_id = authorization_of(claim.saga_id)
        refs = [
            Ref(saga_name(claim.saga_id)),
            Ref(authorization_name(authorization_id)),
            Ref(agent_name(request.agent_id), "share"),
            Ref(policy_name(request.agent_id), "share"),
        ]
        made: Json = {}

        def authorize(loaded: Loaded) -> Decision[Json]:
            nonlocal made
            decision = decide(loaded, claim.saga_id, authorization_id, request)
            made = decision.result
            return _with_wait(loaded, claim, decision)

        decided = await commit_step(
            self._database,
            claim.author(),
            claim.step_claim(request),
            refs,
            authorize,
            windows_of=request.agent_id,
        )
        if decided is made and not _waits(claim, decided["state"]):
            # Of what was decided just now, and waits for nobody, all is known.
            standing = Authorized(authorization_id=authorization_id, **decided)
        else:
            standing = await self._standing(authorization_id, claim)
        return standing.model_copy(update={"admitted": claim.admitted})

    async def _standing(self, authorization_id: str, claim: Claim | None = None) -> Authorized:
        # Read anew: a run that took over must see what a person decided in the meantime.
        state = await state_of(self._database, authorization_name(authorization_id))
        assert isinstance(state, AuthorizationState)
        waits_since = None
        if claim is not None and _waits(claim, state.state):
            saga = await state_of(self._database, saga_name(claim.saga_id))
            assert isinstance(saga, SagaState)
            waits_since = saga.waits_since
        return Authorized(
            authorization_id=authorization_id,
            state=state.state,
            reason=state.reason,
            expires_at=state.expires_at,
            waits_since=waits_since,
            transfer_id=state.transfer_id,
        )

    @activity.defn
    async def read_authorization(self, saga_id: str) -> Authorized:
        """Reads the current state of a payment's authorization."""
        return await self._standing(authorization_of(saga_id))

    @activity.defn
    async def approve_authorization(self, claim: Claim, request: Approve) -> Authorized:
        """Approves a pending authorization: this amount, this destination, under this policy."""
        name, saga = authorization_name(request.authorization_id), saga_name(claim.saga_id)

        def approve(loaded: Loaded) -> Decision[Json]:
            authorization: AuthorizationState = loaded[name]
            require(authorization, "pending_approval", "approve")
            if authorization.expires_at and loaded.now >= authorization.expires_at:
                raise StateRefused("the deadline for the approval has passed", "approval_expired")
            approved = AuthorizationApproved(
                automatic=False,
                spend=[],
                binding=authorization.binding or "",
                reason=request.reason,
            )
            return _with_wait(loaded, claim, Decision({"state": "approved"}, [(name, approved)]))

        refs = [Ref(name), Ref(saga)]
        step = claim.step_claim(request)
        await commit_step(self._database, claim.author(), step, refs, approve)
        return await self._standing(request.authorization_id, claim)

    @activity.defn
    async def settle_authorization(self, claim: Claim, request: Settle) -> Authorized:
        """Captures the authorization after its transfer: the reserved spend is spent."""
        name = authorization_name(request.authorization_id)

        def settle(loaded: Loaded) -> Decision[Json]:
            require(loaded[name], "capturing", "settle")
            captured = AuthorizationCaptured(provider_reference=request.provider_reference)
            return Decision({"state": "captured"}, [(name, captured)])

        await commit_step(
            self._database, claim.author(), claim.step_claim(request), [Ref(name)], settle
        )
        return Authorized(authorization_id=request.authorization_id, state="captured")

    @activity.defn
    async def release_authorization(self, claim: Claim, request: Authorize) -> UndoReport:
        """Undo of `authorize`: releases the spend; which end it is follows from the saga's cause.

        Money that moved, or may have, and did not come back stays spent: its undo was given up.
        """
        name = authorization_name(authorization_of(claim.saga_id))
        transfer = transfer_name(transfer_of(claim.saga_id))

        def release(loaded: Loaded) -> Decision[StepUndone]:
            authorization: AuthorizationState | None = loaded[name]
            if authorization is None or authorization.state == "denied":
                return Decision(StepUndone(note="nothing was reserved"))
            event = released(authorization, loaded[saga_name(claim.saga_id)])
            if not is_gone(loaded[transfer]):
                return Decision(StepUndone(note="the spend is released"), [(name, event)])
            kept = event.changed(spend=[])
            return Decision(StepUndone(note="the spend stays: the money is gone"), [(name, kept)])

        refs = [Ref(name), Ref(transfer, "share")]
        step = claim.step_claim(request)
        return await undo_step(self._database, claim.author(), step, refs, release)


def decide(
    loaded: Loaded, saga_id: str, authorization_id: str, request: Authorize
) -> Decision[Json]:
    """Decides a request by the policy: denied, approved, or pending approval. Pure."""
    agent: AgentState | None = loaded[agent_name(request.agent_id)]
    policy: PolicyState | None = loaded[policy_name(request.agent_id)]
    version = loaded.version(policy_name(request.agent_id)) or None
    window = daily_window(request.agent_id, policy, loaded.now) if policy else None
    spent = loaded.spent(window) if window else None
    reason = denial(request, agent, policy, spent)
    asked = AuthorizationRequested(
        **request.model_dump(exclude={"approve_within"}),
        authorization_id=authorization_id,
        saga_id=saga_id,
        requested_at=loaded.now,
        policy_version=version,
        inputs=_inputs(agent, policy, spent),
    )
    name = authorization_name(authorization_id)
    if reason or policy is None or window is None:
        reason = reason or "no_policy"
        denied = AuthorizationDenied(reason=reason)
        return Decision({"state": "denied", "reason": reason}, [(name, asked), (name, denied)])
    change = SpendChange(window=window, amount_minor=request.amount_minor, count=1)
    verdict = _reserve(request, policy, version, change, loaded.now)
    state = "approved" if isinstance(verdict, AuthorizationApproved) else "pending_approval"
    limits = {window: policy.daily_limit_minor}
    return Decision({"state": state}, [(name, asked), (name, verdict)], limits)


def _with_wait(loaded: Loaded, claim: Claim, decision: Decision[Json]) -> Decision[Json]:
    """The decision on an authorization, and the wait of its saga that follows from it."""
    name = saga_name(claim.saga_id)
    saga: SagaState | None = loaded[name]
    asked = saga.input if saga else claim.opening.input if claim.opening else {}
    wait: SagaWaitStarted | None = None
    for _, event in decision.events:
        if isinstance(event, ApprovalRequested):
            wait = SagaWaitStarted(
                waits_for="approval", waits_on=ANY_USER, since=loaded.now, until=event.expires_at
            )
        elif isinstance(event, AuthorizationApproved) and _by_hand(asked):
            agent = f"agent:{asked['agent_id']}"
            wait = SagaWaitStarted(waits_for="capture", waits_on=agent, since=loaded.now)
    if wait is None:
        return decision
    return Decision(decision.result, [*decision.events, (name, wait)], decision.limits)


def _waits(claim: Claim, state: str) -> bool:
    """Whether the saga of an authorization in this state may wait for a decision: nobody waits for
    an end, and hardly ever for a payment that the policy approved."""
    by_policy = claim.opening is not None and not _by_hand(claim.opening.input)
    return state in (("pending_approval",) if by_policy else ("pending_approval", "approved"))


def _by_hand(asked: Json) -> bool:
    """Whether the payment waits for its agent to capture it. Read from the request of the saga: in
    the input of a step it would make another step of one that an older version began."""
    return asked.get("capture") == "manual"


def denial(
    request: Authorize,
    agent: AgentState | None,
    policy: PolicyState | None,
    spent: SpendChange | None,
) -> str | None:
    """The first reason to deny, in the contract's order; None when the policy allows the
    request."""
    if agent is None:
        return "unknown_agent"
    if agent.state == "revoked":
        return "agent_revoked"
    if policy is None:
        return "no_policy"
    if spent is None:
        return "unknown_time_zone"
    if request.currency != policy.currency:
        return "currency_not_allowed"
    if request.amount_minor > policy.max_per_transaction_minor:
        return "exceeded_max_transaction_limit"
    if spent.amount_minor + request.amount_minor > policy.daily_limit_minor:
        return "exceeded_daily_limit"
    return None


def _reserve(
    request: Authorize,
    policy: PolicyState,
    version: int | None,
    change: SpendChange,
    now: datetime,
) -> Event:
    binding = digest(
        {
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "destination": request.destination,
            "policy_version": version,
        }
    )
    if request.amount_minor <= policy.approval_threshold_minor:
        return AuthorizationApproved(automatic=True, spend=[change], binding=binding)
    expires_at = now + request.approve_within
    return ApprovalRequested(spend=[change], expires_at=expires_at, binding=binding)


def daily_window(agent_id: str, policy: PolicyState, now: datetime) -> SpendWindow | None:
    """The spend window of the day that contains `now`, in the policy's time zone; None where this
    machine does not know that zone: one that nobody knows is refused when a policy is set, and may
    be renamed since."""
    try:
        zone = ZoneInfo(policy.time_zone)
    except (KeyError, ValueError, OSError):
        return None
    today: date = now.astimezone(zone).date()
    return SpendWindow(agent_id=agent_id, currency=policy.currency, period="daily", starts_on=today)


def _inputs(
    agent: AgentState | None, policy: PolicyState | None, spent: SpendChange | None
) -> Json:
    def as_json(state: State | None) -> Json | None:
        return state.as_json() if state else None

    return {"agent": as_json(agent), "policy": as_json(policy), "spent": as_json(spent)}


_ENDS: dict[str, type[AuthorizationReleased]] = {
    "rejected": AuthorizationRejected,
    "approval_expired": AuthorizationExpired,
    "cancelled": AuthorizationVoided,
}


def released(authorization: AuthorizationState, saga: SagaState) -> AuthorizationReleased:
    """The event that releases the reserved spend. An authorization whose money had begun to move
    was `compensated`, whatever the cause."""
    end = _ENDS.get(saga.cause or "", AuthorizationCompensated)
    if authorization.state in ("capturing", "captured"):
        end = AuthorizationCompensated
    back = [
        SpendChange(window=held.window, amount_minor=-held.amount_minor, count=-held.count)
        for held in authorization.reserved
    ]
    return end(spend=back, reason=saga.cause_reason or saga.cause)


def is_gone(transfer: TransferState | None) -> bool:
    """Whether money moved, or may have moved, and is not known to be back."""
    return transfer is not None and transfer.state in ("started", "executed")


def require(authorization: AuthorizationState | None, state: str, verb: str) -> None:
    """Raises StateRefused unless the authorization is in the given state."""
    found = authorization.state if authorization else "unknown"
    if found != state:
        raise StateRefused(
            f"can't {verb}: the authorization is {found}, not {state}", "not_allowed"
        )
