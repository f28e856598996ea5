"""Activities on agents and their policies: who may ask for payments, and how much they may
spend."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, JsonValue
from temporalio import activity

from activities.asked import require_asked
from activities.keys import key_behind
from activities.step import Claim, Request
from ledger.aggregates.agent import AgentRegistered, AgentRevoked, AgentState, agent_name
from ledger.aggregates.aggregate import Event
from ledger.aggregates.policy import PolicySet, PolicyState, Terms, policy_name
from ledger.aggregates.spend_periods import running_windows
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.reading import read
from ledger.sagas.step_log import commit_step
from ledger.store.commit import Decision, Loaded, Ref

Json = dict[str, Any]
# How long an approved payment waits for its capture, unless the policy says otherwise: as long as
# card networks keep an authorization.
CAPTURE_WITHIN_S = 7 * 24 * 3600


class ChangeAgent(Request):
    """Request to register an agent for a user, or to revoke it."""

    action: Literal["register", "revoke"]
    agent_id: str
    user: str | None = None
    reason: str | None = None


class SetPolicy(Request):
    """Request to set what an agent may spend, in minor units of `currency`; `terms` as the ledger
    has them."""

    agent_id: str
    currency: str
    max_per_transaction_minor: int
    daily_limit_minor: int
    approval_threshold_minor: int
    time_zone: str
    terms: dict[str, JsonValue] = Field(default_factory=dict)


class PolicyVersion(Request):
    """The version of a policy that decisions will name."""

    policy_version: int


def policy_set(request: SetPolicy, before: PolicyState | None, now: datetime) -> PolicySet:
    """The next version of a policy. The windows that have begun go on until their own end, whatever
    the time zone is from now on."""
    terms = Terms.read({"capture_within_s": CAPTURE_WITHIN_S, **request.terms})
    if before is not None and before.time_zone != request.time_zone:
        terms = terms.changed(running=running_windows(before, now))
    elif before is not None:
        terms = terms.changed(running=before.terms.running)
    amounts = request.model_dump(exclude={"terms"})
    return PolicySet(terms=terms, **amounts)


class AgentActivities:
    """Activities on agents and policies, which write only to our database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def change_agent(self, claim: Claim, request: ChangeAgent) -> None:
        """Registers or revokes an agent; revoking an agent that is not registered is refused. In
        production a registered agent is changed by its user, or by an officer."""
        name, signing = agent_name(request.agent_id), self._database.signing
        by = await key_behind(self._database, claim) if signing.required else None

        def change(loaded: Loaded) -> Decision[Json]:
            require_asked(loaded, claim, signing, "agent", request.model_dump(mode="json"))
            agent: AgentState | None = loaded[name]
            is_theirs = agent is None or claim.actor == agent.user or by in signing.officers
            if signing.required and not is_theirs:
                raise StateRefused(
                    f"agent {request.agent_id} is another user's: that user changes it, or an "
                    "officer (AMENDS_KEY_OFFICERS)",
                    "not_holder",
                )
            if request.action == "register":
                event: Event = AgentRegistered(agent_id=request.agent_id, user=request.user or "")
            elif agent is None:
                raise StateRefused(
                    f"no agent named {request.agent_id!r} is registered", "unknown_agent"
                )
            else:
                event = AgentRevoked(reason=request.reason)
            return Decision({}, [(name, event)])

        step = claim.step_claim(request)
        # Who is registered is new: if not, the write shows it.
        ref = Ref(name, new=request.action == "register")
        await commit_step(self._database, claim.author(), step, [ref], change)

    @activity.defn
    async def set_policy(self, claim: Claim, request: SetPolicy) -> PolicyVersion:
        """Sets the policy of an agent, in force for the next request."""
        name = policy_name(request.agent_id)

        def change(loaded: Loaded) -> Decision[Json]:
            told = request.model_dump(mode="json", exclude={"terms"})
            require_asked(loaded, claim, self._database.signing, "policy", told)
            event = policy_set(request, loaded[name], loaded.now)
            return Decision({"policy_version": loaded.version(name) + 1}, [(name, event)])

        step = claim.step_claim(request)
        stored = await commit_step(self._database, claim.author(), step, [Ref(name)], change)
        return read(PolicyVersion, stored)
