"""The decisions on authorizations: by the policy, by a person, at the capture, and what every end
releases. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from activities.asked_again import ask_again, asked_by, chain_in
from activities.request import Request
from ledger.aggregates.agent import AgentState, agent_name
from ledger.aggregates.aggregate import Event, State
from ledger.aggregates.amounts import published
from ledger.aggregates.authorization import (
    ApprovalGiven,
    ApprovalRefused,
    ApprovalRepeated,
    ApprovalRequested,
    AuthorizationApproved,
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
from ledger.aggregates.captures import AuthorizationReduced
from ledger.aggregates.mandate import MandateState, mandate_name
from ledger.aggregates.mandate_evaluation import mandate_denials, mandate_limits
from ledger.aggregates.policy import PolicyState, policy_name
from ledger.aggregates.policy_evaluation import (
    Asked,
    Windows,
    denials,
    limits_of,
    verdict,
    windows_at,
)
from ledger.aggregates.saga import SagaState
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.aggregates.transfer import TransferState
from ledger.errors import StateRefused
from ledger.store.canonical_json import digest
from ledger.store.decision import Decision, Loaded

Json = dict[str, Any]


class Authorize(Request):
    """A request of an agent to pay: minor units, ISO 4217, a checked CBU or IBAN."""

    agent_id: str
    amount_minor: int
    currency: str
    destination: str
    description: str
    approve_within: timedelta
    capture_within: timedelta | None = None
    mandate: str | None = None
    purpose: str | None = None


class Approve(Request):
    """The approval of an authorization by a person. `binding` is the digest of what the person saw;
    None where that is not said. `amount_minor`: a smaller amount is approved."""

    authorization_id: str
    reason: str | None = None
    binding: str | None = None
    amount_minor: int | None = Field(default=None, exclude_if=lambda minor: minor is None)


def decide(
    loaded: Loaded,
    saga_id: str,
    authorization_id: str,
    request: Authorize,
    *,
    manual: bool,
    unsigned: str | None = None,
    payable: bool = True,
) -> Decision[Json]:
    """Decides a request by the policy and its mandates: denied, approved, or pending approval.
    `manual`: the agent captures later; `unsigned` says that its signature is missing or not valid;
    `payable`: the adapter pays to such an account."""
    agent: AgentState | None = loaded[agent_name(request.agent_id)]
    policy: PolicyState | None = loaded[policy_name(request.agent_id)]
    version = loaded.version(policy_name(request.agent_id)) or None
    asked = Asked(
        *(request.agent_id, request.amount_minor, request.currency, request.destination, payable),
        *(request.mandate, request.purpose),
    )
    mandates = _named(loaded, request.mandate)
    chain = chain_in(loaded, mandates)
    reasons = denials(asked, agent, policy, loaded.spent, loaded.now)
    reasons += mandate_denials(asked, chain, loaded.spent, loaded.now)
    if unsigned is not None:
        reasons = [unsigned, *reasons]
    windows = windows_at(policy, asked, loaded.now) if policy else None
    requested = AuthorizationRequested(
        **request.model_dump(exclude={"approve_within", "capture_within", "mandate"}),
        mandates=mandates,
        authorization_id=authorization_id,
        saga_id=saga_id,
        requested_at=loaded.now,
        policy_version=version,
        inputs={
            **_inputs(loaded, agent, policy, windows),
            # Which list gave the amount its minor units.
            "iso4217": published(),
            "payable": payable,
            **_mandate_inputs(loaded, chain),
        },
    )
    name = authorization_name(authorization_id)
    state = verdict(asked, policy, reasons)
    if state == "denied" or policy is None or windows is None:
        denied = AuthorizationDenied(reason=reasons[0], reasons=reasons)
        result = {"state": "denied", "reason": reasons[0]}
        return Decision(result, [(name, requested), (name, denied)])
    reserved = _reserve(
        loaded,
        request,
        policy,
        version,
        [*windows.values(), *mandate_limits(chain)],
        automatic=state == "approved",
        manual=manual,
    )
    events: list[tuple[str, Event]] = [(name, requested), (name, reserved)]
    limits = limits_of(policy, windows) | mandate_limits(chain)
    return Decision({"state": state}, events, limits)


def _named(loaded: Loaded, mandate: str | None) -> list[str]:
    """The mandate that a request names, last, after all above it, if there is one."""
    if mandate is None:
        return []
    state: MandateState | None = loaded[mandate_name(mandate)]
    return [*(state.chain if state else ()), mandate]


def _reserve(
    loaded: Loaded,
    request: Authorize,
    policy: PolicyState,
    version: int | None,
    windows: Sequence[SpendWindow],
    *,
    automatic: bool,
    manual: bool,
) -> Event:
    binding = _binding(request, version, request.mandate, request.purpose)
    spend = [
        SpendChange(window=window, amount_minor=request.amount_minor, count=1) for window in windows
    ]
    if automatic:
        until = _capture_until(policy, request.capture_within, loaded.now) if manual else None
        return AuthorizationApproved(
            automatic=True,
            spend=spend,
            binding=binding,
            policy_version=version,
            capture_until=until,
        )
    expires_at = loaded.now + request.approve_within
    return ApprovalRequested(spend=spend, expires_at=expires_at, binding=binding)


def _binding(
    asked: Authorize | AuthorizationState,
    version: int | None,
    mandate: str | None,
    purpose: str | None,
) -> str:
    """The digest of what an approval is of."""
    # As before where there are none.
    named = {"mandate": mandate, "purpose": purpose}
    return digest(
        {name: text for name, text in named.items() if text is not None}
        | {
            "amount_minor": asked.amount_minor,
            "currency": asked.currency,
            "destination": asked.destination,
            "description": asked.description,
            "policy_version": version,
        }
    )


def _capture_until(policy: PolicyState, within: timedelta | None, now: datetime) -> datetime | None:
    """Until when the agent may capture: the shorter of what it asked for and the policy allows."""
    allowed = policy.terms.capture_within_s
    given = [within] if within is not None else []
    given += [timedelta(seconds=allowed)] if allowed is not None else []
    return now + min(given) if given else None


def _inputs(
    loaded: Loaded,
    agent: AgentState | None,
    policy: PolicyState | None,
    windows: Windows | None,
) -> Json:
    def as_json(state: State | None) -> Json | None:
        return state.as_json() if state else None

    spent = {period: loaded.spent(window).as_json() for period, window in (windows or {}).items()}
    return {"agent": as_json(agent), "policy": as_json(policy), "spent": spent}


def _mandate_inputs(loaded: Loaded, chain: Sequence[MandateState | None]) -> Json:
    """The version of each mandate, which never changes but by its revocation, and its spend."""
    known = [(mandate, mandate_name(mandate.mandate_id)) for mandate in chain if mandate]
    told = {
        mandate.mandate_id: {
            "version": loaded.version(name),
            "spent": loaded.spent(mandate.window).as_json(),
        }
        for mandate, name in known
    }
    return {"mandates": told} if told else {}


def approval(
    loaded: Loaded,
    authorization: AuthorizationState,
    request: Approve,
    person: str,
    *,
    within: timedelta | None,
    manual: bool,
) -> Decision[Json]:
    """The yes of a person: approved, refused with the words for it, or one of several that are
    needed. Each is an event."""
    name = authorization_name(authorization.authorization_id)
    asked_for = authorization.amount_minor
    less = 0 if request.amount_minor is None else asked_for - request.amount_minor
    # Of what the person approves: who approved more has approved that too.
    authorization = authorization.changed(amount_minor=asked_for - max(less, 0))
    again = ask_again(loaded, authorization)
    policy: PolicyState | None = loaded[policy_name(authorization.agent_id)]
    reason, words = _objection(authorization, request.binding, policy, person)
    if less < 0:
        reason, words = "exceeded_asked_amount", f"{asked_for} minor units are asked for, not more"
    if reason is None and again.reasons:
        reason, words = again.reasons[0], again.words
    result: Json = {"state": "pending_approval", "by": person}
    if reason is not None or policy is None:
        refused = ApprovalRefused(
            by=person, reason=reason or "no_policy", policy_version=again.version
        )
        return Decision({**result, "refused": words}, [(name, refused)])
    events, binding = list[tuple[str, Event]](), authorization.binding or ""
    if less:
        mandate = authorization.mandates[-1] if authorization.mandates else None
        version = authorization.policy_version
        binding = _binding(authorization, version, mandate, authorization.purpose)
        reduced = AuthorizationReduced(
            by=person,
            amount_minor=authorization.amount_minor,
            spend=[
                SpendChange(window=held.window, amount_minor=-less, count=0)
                for held in authorization.reserved
            ],
            binding=binding,
        )
        events.append((name, reduced))
    is_again = person in authorization.approved_by
    given = _approvers(authorization, policy) | {person}
    if len(given) < policy.terms.approvals:
        if is_again:
            return Decision(result, [*events, (name, ApprovalRepeated(by=person))])
        given_too = ApprovalGiven(by=person, reason=request.reason)
        return Decision(result, [*events, (name, given_too)])
    approved = AuthorizationApproved(
        automatic=False,
        spend=[],
        binding=binding,
        by=None if is_again else person,
        policy_version=again.version,
        capture_until=_capture_until(policy, within, loaded.now) if manual else None,
        reason=request.reason,
    )
    return Decision({**result, "state": "approved"}, [*events, (name, approved)])


def _approvers(authorization: AuthorizationState, policy: PolicyState) -> set[str]:
    """Who has approved, and may approve by the policy of now."""
    return {
        person
        for person in authorization.approved_by
        if _objection(authorization, None, policy, person)[0] is None
    }


def _objection(
    authorization: AuthorizationState, binding: str | None, policy: PolicyState | None, person: str
) -> tuple[str | None, str]:
    """Why this person can't approve this: a word and a sentence."""
    if binding is not None and binding != authorization.binding:
        return "changed", "what you approve is not what is asked for: look at it again"
    approvers = policy.terms.approvers if policy else None
    if approvers is None:
        return None, ""
    limits = [
        each.limit_minor
        for each in approvers
        if each.user == person and each.currency in (None, authorization.currency)
    ]
    if not limits:
        return "not_an_approver", f"the policy does not name {person} as an approver"
    if None not in limits and authorization.amount_minor > max(
        limit for limit in limits if limit is not None
    ):
        return "exceeded_approver_limit", f"the amount is above the limit of {person}"
    return None, ""


def needs_approval(authorization: AuthorizationState, policy: PolicyState) -> bool:
    """Whether the policy of now asks for people who have not approved. An approval that an older
    version recorded does not say whose it is, and counts as one."""
    if verdict(asked_by(authorization), policy, ()) == "approved":
        return False
    is_old = authorization.expires_at is not None and not authorization.approved_by
    given = 1 if is_old else len(_approvers(authorization, policy))
    return given < policy.terms.approvals


_ENDS: dict[str, type[AuthorizationReleased]] = {
    "rejected": AuthorizationRejected,
    "approval_expired": AuthorizationExpired,
    "capture_expired": AuthorizationExpired,
    "cancelled": AuthorizationVoided,
}


def released(authorization: AuthorizationState, saga: SagaState) -> AuthorizationReleased:
    """The event that releases the reserved spend. An authorization whose money had begun to move
    was `compensated`, whatever the cause."""
    end = _ENDS.get(saga.cause or "", AuthorizationCompensated)
    if authorization.state in ("capturing", "captured"):
        end = AuthorizationCompensated
    back = [held.reversed() for held in authorization.reserved]
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
