"""Activities on authorizations: the policy decides and the spend is reserved in one commit; a
person decides above the threshold; all ends but a capture release the spend to its window."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from pydantic import Field, JsonValue
from temporalio import activity

from activities.adapters.payment import ACCOUNT_KINDS, AccountKind, account_kind
from activities.asked import payee, require_asked
from activities.authorization_decisions import (
    Approve,
    Authorize,
    approval,
    decide,
    is_gone,
    released,
    require,
)
from activities.capture_decisions import rest_released, settled
from activities.mandates import chain_refs, mandates_above
from activities.step import Claim, Request
from ledger.aggregates.agent import agent_name
from ledger.aggregates.authorization import (
    ApprovalGiven,
    ApprovalRefused,
    ApprovalRepeated,
    ApprovalRequested,
    AuthorizationApproved,
    AuthorizationState,
    authorization_name,
)
from ledger.aggregates.mandate import mandate_name
from ledger.aggregates.policy import policy_name
from ledger.aggregates.saga import SagaState, SagaWaitStarted, saga_name
from ledger.aggregates.saga_step import StepUndone
from ledger.aggregates.step_report import UndoReport
from ledger.aggregates.transfer import transfer_name
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read.current_state import state_of
from ledger.sagas.signatures import problem_of
from ledger.sagas.step_log import commit_step, undo_step
from ledger.store.commit import Decision, Loaded, Ref
from ledger.times import parse_duration

Json = dict[str, Any]
# Any person decides on an approval.
ANY_USER = "user"


class Authorized(Request):
    """The current state of an authorization, and since when the saga waits for a decision on it.
    `admitted` is the request of the saga, where this answer opened it; `attempts` how many
    approvals came. Of an approval: whose it is (`by`), and why it was `refused`.

    Where it is another amount than that of the request, or is captured in parts: `amount_minor`
    is authorized, `captured_minor` of it captured; `captures` parts were begun, and of the last,
    while it is captured, the amount is `capturing_minor`, `final` says that it is the last one, and
    `update` names the update that asked for it.
    `provider_reference` is that of the first.
    """

    authorization_id: str
    state: str
    reason: str | None = None
    expires_at: datetime | None = None
    capture_until: datetime | None = None
    attempts: int = 0
    refused: str | None = None
    by: str | None = None
    waits_since: datetime | None = None
    transfer_id: str | None = None
    admitted: dict[str, JsonValue] | None = None
    # Left out where they say nothing: a worker of an earlier version does not know the fields.
    amount_minor: int | None = Field(default=None, exclude_if=lambda minor: minor is None)
    captured_minor: int = Field(default=0, exclude_if=lambda minor: not minor)
    captures: int = Field(default=0, exclude_if=lambda count: not count)
    capturing_minor: int = Field(default=0, exclude_if=lambda minor: not minor)
    final: bool = Field(default=False, exclude_if=lambda final: not final)
    update: str | None = Field(default=None, exclude_if=lambda update: update is None)
    provider_reference: str | None = Field(default=None, exclude_if=lambda told: told is None)


class Rest(Request):
    """What is left of an authorization of which some was captured, and why it is released."""

    authorization_id: str
    reason: str


class Settle(Request):
    """The executed transfer of an authorization."""

    authorization_id: str
    provider_reference: str


def authorization_of(saga_id: str) -> str:
    """The id of the one authorization of a payment: derived, so a repeat finds the same."""
    return str(uuid5(NAMESPACE_OID, f"amends:authorization:{saga_id}"))


def transfer_of(saga_id: str, number: int = 1) -> str:
    """The id of a transfer of a payment, one for each capture: derived, so a repeat finds the
    same."""
    return str(uuid5(NAMESPACE_OID, f"amends:transfer:{key_of(saga_id, number)}"))


def key_of(saga_id: str, number: int = 1) -> str:
    """What the provider knows a transfer of a payment by. The first has the name of the saga, which
    has no `#` in it."""
    return saga_id if number == 1 else f"{saga_id}#{number}"


class AuthorizationActivities:
    """Decisions on payments, which write only to our database."""

    def __init__(
        self, database: Database, pays_to: Collection[AccountKind] = ACCOUNT_KINDS
    ) -> None:
        self._database, self._pays_to = database, pays_to

    @activity.defn
    async def authorize(self, claim: Claim, request: Authorize) -> Authorized:
        """Decides a request by the policy, and reserves the spend in the same commit; where a
        person decides, or captures, that commit also records the wait."""
        authorization_id = authorization_of(claim.saga_id)
        mandates = await mandates_above(self._database, request.mandate)
        refs = [
            Ref(saga_name(claim.saga_id)),
            Ref(authorization_name(authorization_id)),
            Ref(agent_name(request.agent_id), "share"),
            Ref(policy_name(request.agent_id), "share"),
            *chain_refs(mandates),
        ]
        payable = account_kind(request.destination) in self._pays_to
        made: Json = {}

        def authorize(loaded: Loaded) -> Decision[Json]:
            nonlocal made
            amount = {"minor": request.amount_minor, "currency": request.currency}
            told = {**payee(request), "amount": amount, "description": request.description}
            require_asked(loaded, claim, self._database.signing, "payment", told)
            unsigned = self._unsigned(claim, loaded)
            manual = _by_hand(_request_of(loaded, claim))
            decision = decide(
                *(loaded, claim.saga_id, authorization_id, request),
                manual=manual,
                unsigned=unsigned,
                payable=payable,
            )
            made = decision.result
            return _with_wait(loaded, claim, decision)

        decided = await commit_step(
            self._database,
            claim.author(),
            replace(claim.step_claim(request), denies_unsigned=True),
            refs,
            authorize,
            windows_of=[request.agent_id, *map(mandate_name, mandates)],
        )
        if decided is made and not _waits(claim, decided["state"]):
            # Of what was decided just now, and waits for nobody, all is known.
            standing = Authorized(authorization_id=authorization_id, **decided)
        else:
            standing = await self._standing(authorization_id, claim)
        return standing.model_copy(update={"admitted": claim.admitted})

    def _unsigned(self, claim: Claim, loaded: Loaded) -> str | None:
        """Why the request is not that of its agent; None too where the saga was opened before."""
        if claim.opening is None:
            return None
        opening, signing = claim.opening, self._database.signing
        return problem_of(opening.signed, opening.actor, claim.saga_id, loaded, signing)

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
            capture_until=state.capture_until,
            attempts=state.attempts,
            waits_since=waits_since,
            transfer_id=state.transfer_id,
            **_in_parts(state),
        )

    @activity.defn
    async def read_authorization(self, saga_id: str) -> Authorized:
        """Reads the current state of a payment's authorization."""
        return await self._standing(authorization_of(saga_id))

    @activity.defn
    async def approve_authorization(self, claim: Claim, request: Approve) -> Authorized:
        """Approves a pending authorization: this amount, this payee, if the policy of now allows
        it. A refused approval is on record, and the authorization goes on waiting."""
        name, saga = authorization_name(request.authorization_id), saga_name(claim.saga_id)
        # What it is about is told for ever: it may be read before the commit.
        pending = await state_of(self._database, name)
        assert isinstance(pending, AuthorizationState)

        def approve(loaded: Loaded) -> Decision[Json]:
            authorization: AuthorizationState = loaded[name]
            require(authorization, "pending_approval", "approve")
            if authorization.expires_at and loaded.now >= authorization.expires_at:
                raise StateRefused("the deadline for the approval has passed", "approval_expired")
            asked = _request_of(loaded, claim)
            within = asked.get("capture_within")
            decision = approval(
                loaded,
                authorization,
                request,
                claim.actor,
                within=parse_duration(within) if within else None,
                manual=_by_hand(asked),
            )
            return _with_wait(loaded, claim, decision)

        refs = [
            Ref(name),
            Ref(saga),
            Ref(agent_name(pending.agent_id), "share"),
            Ref(policy_name(pending.agent_id), "share"),
            *chain_refs(pending.mandates),
        ]
        answer = await commit_step(
            self._database,
            claim.author(),
            claim.step_claim(request),
            refs,
            approve,
            windows_of=[pending.agent_id, *map(mandate_name, pending.mandates)],
        )
        standing = await self._standing(request.authorization_id, claim)
        told = {"refused": answer.get("refused"), "by": answer.get("by")}
        return standing.model_copy(update=told)

    @activity.defn
    async def settle_authorization(self, claim: Claim, request: Settle) -> Authorized:
        """Captures the authorization, or a part of it, after its transfer: what was reserved for it
        is spent. With something left the same commit records the wait for the next capture."""
        name = authorization_name(request.authorization_id)

        def settle(loaded: Loaded) -> Decision[Json]:
            require(loaded[name], "capturing", "settle")
            decision = settled(loaded[name], request.provider_reference, loaded.now)
            goes_on = decision.result["state"] == "approved"
            if loaded[name].parts and goes_on != (claim.ending is None):
                raise StateRefused("can't settle: the saga ends with the last part", "not_allowed")
            return decision

        refs = [Ref(name), Ref(saga_name(claim.saga_id))]
        answer = await commit_step(
            self._database, claim.author(), claim.step_claim(request), refs, settle
        )
        if answer["state"] == "approved":
            return await self._standing(request.authorization_id, claim)
        return Authorized(authorization_id=request.authorization_id, state="captured")

    @activity.defn
    async def release_rest(self, claim: Claim, request: Rest) -> Authorized:
        """Releases what is left of an authorization of which some was captured."""
        name = authorization_name(request.authorization_id)

        def release(loaded: Loaded) -> Decision[Json]:
            return rest_released(loaded[name], request.reason)

        await commit_step(
            self._database, claim.author(), claim.step_claim(request), [Ref(name)], release
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


def _in_parts(state: AuthorizationState) -> Json:
    """What differs from the request, and from an authorization that is captured at once."""
    if not state.parts and state.amount_minor == state.requested_minor:
        return {}
    last = state.parts[-1] if state.parts and state.state == "capturing" else None
    return {
        "amount_minor": state.amount_minor,
        "captured_minor": state.captured_minor,
        "captures": len(state.parts),
        "capturing_minor": last.amount_minor if last else 0,
        "final": bool(last and last.final),
        "update": last.update if last else None,
        "provider_reference": state.provider_reference,
    }


def _request_of(loaded: Loaded, claim: Claim) -> Json:
    """The request of the saga, as stored, or as its first step stores it."""
    saga: SagaState | None = loaded[saga_name(claim.saga_id)]
    if saga is not None:
        return saga.input
    return claim.opening.input if claim.opening else {}


def _with_wait(loaded: Loaded, claim: Claim, decision: Decision[Json]) -> Decision[Json]:
    """The decision on an authorization, and the wait of its saga that follows from it."""
    asked = _request_of(loaded, claim)
    wait, since = None, loaded.now
    for name, event in decision.events:
        until = None
        if isinstance(event, ApprovalRequested):
            until = event.expires_at
        elif isinstance(event, (ApprovalGiven, ApprovalRefused, ApprovalRepeated)):
            until, waiting = loaded[name].expires_at, loaded[saga_name(claim.saga_id)]
            since = waiting.waits_since or since
        elif isinstance(event, AuthorizationApproved) and _by_hand(asked):
            wait = SagaWaitStarted(
                waits_for="capture",
                waits_on=f"agent:{asked['agent_id']}",
                since=loaded.now,
                until=event.capture_until,
            )
        if until is not None:
            wait = SagaWaitStarted(
                waits_for="approval", waits_on=ANY_USER, since=since, until=until
            )
    if wait is None:
        return decision
    events = [*decision.events, (saga_name(claim.saga_id), wait)]
    return Decision(decision.result, events, decision.limits)


def _waits(claim: Claim, state: str) -> bool:
    """Whether the saga of an authorization in this state may wait for a decision: nobody waits for
    an end, and hardly ever for a payment that the policy approved."""
    by_policy = claim.opening is not None and not _by_hand(claim.opening.input)
    return state in (("pending_approval",) if by_policy else ("pending_approval", "approved"))


def _by_hand(asked: Json) -> bool:
    """Whether the payment waits for its agent to capture it. Read from the request of the saga: in
    the input of a step it would make another step of one that an older version began."""
    return asked.get("capture") == "manual"
