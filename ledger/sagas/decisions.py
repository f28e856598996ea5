"""Checks that a commit in the name of a person or an agent is what they asked for.

Signatures of updates are checked where a saga hears them, and whoever reaches Temporal can call an
activity without a saga of ours. So in production the commit that carries a decision out brings the
signed decision, and checks it by the key of the actor, whose row it holds.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ledger.aggregates.saga import SagaState
from ledger.aggregates.saga_step import UndoPlan
from ledger.errors import NotSigned
from ledger.sagas.signatures import WORDS, Signed, require_signed
from ledger.signing import Signing
from ledger.store.commit import Loaded

if TYPE_CHECKING:
    from ledger.sagas.step_claim import StepClaim

Json = dict[str, Any]
# Amends itself: no request may use such a name.
SYSTEM = "system:"
# The update that decides on what a saga waits for, and the one that compensates it for a cause;
# of others it is the word itself.
_ON_A_WAIT = {"approval": "approve"}
# By what a step does, where that is something else: what is left is released.
_RELEASES = {"release_rest": ("void", "cancel")}
# What else than was signed an approval can't have.
_BOUND = {"approve": ("binding", "amount_minor")}
# From the check of a decision, where the saga hears it, to this one: a key that is revoked in
# between undoes nothing.
_CARRIED_OUT_WITHIN = timedelta(seconds=60)
# What a step has in words of its own.
_OTHERWISE = {"reason"}
_OF_A_CAUSE = {"cancelled": "cancel", "rejected": "reject"}


def asked_by(request: Json) -> str:
    """The actor of a request as it is stored: of a payment the agent."""
    return str(request.get("actor") or f"agent:{request.get('agent_id')}")


def require_opening(actor: str, opened_by: str, request: Json, signing: Signing) -> None:
    """Checks that a saga is opened in the name of who asks for it. Raises NotSigned."""
    if signing.required and not actor == opened_by == asked_by(request):
        raise _not_signed("invalid_signature")


def require_forward(
    actor: str, claim: "StepClaim", saga: SagaState, loaded: Loaded, signing: Signing
) -> None:
    """Checks that a step on the way forward is wanted by who asked for the saga, or, while the saga
    waits, by the signed decision that it waits for; by Amends once the deadline has passed. Raises
    NotSigned."""
    if not signing.required:
        return
    if saga.waits_for is not None:
        until = saga.waits_until
        if actor.startswith(SYSTEM) and until is not None and until <= loaded.now:
            return
        verb = _ON_A_WAIT.get(saga.waits_for, saga.waits_for)
        verbs = _RELEASES.get(claim.activity, (verb,))
        _require(claim.decision, verbs, actor, claim.saga_id, loaded, signing)
    elif actor != asked_by(saga.input):
        raise _not_signed("missing_signature")


def require_compensation(
    decision: Signed | None,
    actor: str,
    cause: str,
    saga_id: str,
    loaded: Loaded,
    signing: Signing,
) -> None:
    """Checks that a person or an agent who compensates a saga has signed that. Raises NotSigned."""
    if signing.required and not actor.startswith(SYSTEM):
        verbs = (_OF_A_CAUSE.get(cause, cause),)
        _require(decision, verbs, actor, saga_id, loaded, signing)


def require_verdict(
    actor: str, claim: "StepClaim", undo: UndoPlan | None, loaded: Loaded, signing: Signing
) -> None:
    """Checks that the outcome which a step is given is an operator's word, or that its undo is
    given up as its plan says. Raises NotSigned."""
    if claim.evidence is None or not signing.required:
        return
    by_its_plan = undo is not None and undo.then == "go_on"
    if claim.skipped and actor.startswith(SYSTEM) and by_its_plan:
        return
    verbs = ("skip" if claim.skipped else "resolve",)
    _require(claim.decision, verbs, actor, claim.saga_id, loaded, signing)
    says = claim.decision.says if claim.decision else {}
    asked = (says.get("evidence"), says.get("outcome") or "undone")
    if says.get("step") != claim.step or not (
        claim.skipped or asked == (claim.evidence, claim.outcome)
    ):
        raise _not_signed("invalid_signature")


def require_retry(actor: str, claim: "StepClaim", loaded: Loaded, signing: Signing) -> None:
    """Checks that an operator has signed that a step is tried again. Raises NotSigned."""
    if not signing.required:
        return
    _require(claim.decision, ("retry",), actor, claim.saga_id, loaded, signing)
    if claim.decision and claim.decision.says.get("step") != claim.step:
        raise _not_signed("invalid_signature")


def require_said(decision: Signed, request: Json) -> None:
    """Checks that the request of a step has what was signed, in the fields of both. Raises
    NotSigned."""
    says = decision.says
    names = {*(request.keys() & says.keys()), *_BOUND.get(decision.verb, ())} - _OTHERWISE
    if any(request.get(name) != says.get(name) for name in names):
        raise _not_signed("invalid_signature")


def _require(
    decision: Signed | None,
    verbs: tuple[str, ...],
    actor: str,
    saga_id: str,
    loaded: Loaded,
    signing: Signing,
) -> None:
    if decision is not None and (decision.verb not in verbs or decision.says.get("actor") != actor):
        raise _not_signed("invalid_signature")
    require_signed(decision, actor, saga_id, loaded, signing, late=_CARRIED_OUT_WITHIN)


def _not_signed(problem: Any) -> NotSigned:
    return NotSigned(f"{problem}: {WORDS[problem]}", problem)
