"""Activities on mandates: budgets of agents, granted by users and delegated in smaller parts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from temporalio import activity

from activities.asked import require_asked
from activities.step import Claim, Request
from ledger.aggregates.agent import AgentState, agent_name
from ledger.aggregates.mandate import MandateGranted, MandateRevoked, MandateState, mandate_name
from ledger.aggregates.mandate_evaluation import MAX_DEPTH, known, wider
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read.current_state import state_of
from ledger.sagas.step_log import commit_step
from ledger.store.commit import Decision, Loaded, Ref

Json = dict[str, Any]
AGENT = "agent:"


class ChangeMandate(Request):
    """Request to grant a mandate, below `parent` where there is one, or to revoke it: amounts in
    minor units. What a delegation leaves out is as in its parent."""

    action: Literal["grant", "revoke"]
    mandate: str
    agent_id: str | None = None
    parent: str | None = None
    currency: str | None = None
    amount_minor: int | None = None
    count: int | None = None
    destinations: list[str] | None = None
    purposes: list[str] | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    reason: str | None = None


async def mandates_above(database: Database, mandate: str | None) -> list[str]:
    """A mandate, last, after all above it, the root first: what it was granted under never changes,
    so it may be read before the commit. The one alone where it does not exist."""
    if mandate is None:
        return []
    state = await state_of(database, mandate_name(mandate))
    return [*state.chain, mandate] if isinstance(state, MandateState) else [mandate]


def chain_refs(mandates: Sequence[str]) -> list[Ref]:
    """Holds each mandate of a chain: a revocation comes before the commit or after it."""
    return [Ref(mandate_name(mandate), "share") for mandate in mandates]


class MandateActivities:
    """Activities on mandates, which write only to our database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def change_mandate(self, claim: Claim, request: ChangeMandate) -> None:
        """Grants a mandate, a part of the one above it where it is delegated, or revokes it with
        all below it. Raises StateRefused."""
        if request.action == "grant":
            await self._grant(claim, request)
        else:
            await self._revoke(claim, request)

    def _require_asked(self, loaded: Loaded, claim: Claim, request: ChangeMandate) -> None:
        told = request.model_dump(mode="json")
        require_asked(loaded, claim, self._database.signing, "mandate", told)

    async def _grant(self, claim: Claim, request: ChangeMandate) -> None:
        name, delegate = mandate_name(request.mandate), claim.actor.startswith(AGENT)
        above = await mandates_above(self._database, request.parent)
        by = agent_name(claim.actor.removeprefix(AGENT))

        def grant(loaded: Loaded) -> Decision[Json]:
            self._require_asked(loaded, claim, request)
            chain = [loaded[mandate_name(mandate)] for mandate in above]
            if delegate:
                _require_delegate(claim.actor, loaded[by], chain)
            granted = _granted(request, chain, loaded.now)
            if loaded[name] is not None:
                raise StateRefused(
                    f"mandate {request.mandate} exists: grant the new one under another name",
                    "mandate_exists",
                )
            return Decision({}, [(name, granted)])

        refs = [*chain_refs(above), *([Ref(by, "share")] if delegate else []), Ref(name)]
        await commit_step(self._database, claim.author(), claim.step_claim(request), refs, grant)

    async def _revoke(self, claim: Claim, request: ChangeMandate) -> None:
        name = mandate_name(request.mandate)
        chain = await mandates_above(self._database, request.mandate)

        def revoke(loaded: Loaded) -> Decision[Json]:
            self._require_asked(loaded, claim, request)
            mandates = known([loaded[mandate_name(mandate)] for mandate in chain])
            if mandates is None:
                raise StateRefused(
                    f"no mandate named {request.mandate} is granted", "unknown_mandate"
                )
            holders = {f"{AGENT}{mandate.agent_id}" for mandate in mandates}
            if claim.actor.startswith(AGENT) and claim.actor not in holders:
                raise StateRefused(_NOT_HOLDER, "not_mandate_holder")
            is_active = mandates[-1].state == "active"
            events = [(name, MandateRevoked(reason=request.reason))] if is_active else []
            return Decision({}, events)

        refs = [*chain_refs(chain[:-1]), Ref(name)]
        await commit_step(self._database, claim.author(), claim.step_claim(request), refs, revoke)


_NOT_HOLDER = (
    "a mandate is granted by a user, delegated by a user or the agent that holds it, and revoked "
    "by a user or an agent that holds it or one above it"
)


def _require_delegate(
    actor: str, agent: AgentState | None, chain: Sequence[MandateState | None]
) -> None:
    """Raises StateRefused for an agent that can't delegate from the last of the chain."""
    parent = chain[-1] if chain else None
    if parent is None or actor != f"{AGENT}{parent.agent_id}":
        raise StateRefused(_NOT_HOLDER, "not_mandate_holder")
    if agent is None or agent.state == "revoked":
        raise StateRefused(
            f"{actor} is not registered, or revoked, and delegates nothing",
            "unknown_agent" if agent is None else "agent_revoked",
        )


def _granted(
    request: ChangeMandate, chain: Sequence[MandateState | None], now: datetime
) -> MandateGranted:
    """The grant, a part of the last of the chain. Raises StateRefused."""
    above = known(chain) or []
    if chain and not above:
        raise StateRefused(f"no mandate named {request.parent} is granted", "unknown_mandate")
    asked = request.model_dump(exclude={"action", "mandate", "parent", "reason"})
    begins = [now, *([request.valid_from] if request.valid_from else [])]
    if above:
        parent = above[-1]
        begins += [parent.valid_from] if request.valid_from is None else []
        asked |= {name: getattr(parent, name) for name in asked if asked[name] is None}
    granted = MandateGranted(
        **asked | {"valid_from": max(begins)},
        mandate_id=request.mandate,
        chain=[mandate.mandate_id for mandate in above],
    )
    if granted.valid_until is not None and granted.valid_until <= granted.valid_from:
        raise StateRefused("the mandate would never be valid: see valid_until", "mandate_not_valid")
    if above:
        _require_part(granted, above)
    return granted


def _require_part(granted: MandateGranted, above: Sequence[MandateState]) -> None:
    if revoked := [mandate.mandate_id for mandate in above if mandate.state == "revoked"]:
        raise StateRefused(f"mandate {revoked[0]} is revoked", "mandate_revoked")
    if len(above) >= MAX_DEPTH:
        raise StateRefused(
            f"{len(above)} mandates are above it, and at most {MAX_DEPTH - 1} may be: delegate "
            "from one further up",
            "mandate_too_deep",
        )
    if why := wider(granted, above[-1]):
        raise StateRefused(
            f"a delegated mandate is a part of the one above it: {why}", "wider_mandate"
        )
