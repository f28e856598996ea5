"""Asks policy and mandates of now about an authorization that was asked for before. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.aggregates.agent import agent_name
from ledger.aggregates.authorization import AuthorizationState
from ledger.aggregates.mandate import MandateState, mandate_name
from ledger.aggregates.mandate_evaluation import REASONS as OF_MANDATES
from ledger.aggregates.mandate_evaluation import mandate_denials
from ledger.aggregates.policy import PolicyState, policy_name
from ledger.aggregates.policy_evaluation import Asked, denials
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.store.decision import Loaded


@dataclass(frozen=True)
class AskedAgain:
    """What policy and mandates of now say of an authorization: the policy in this `version`, and it
    was asked for under the version `before`. `reasons` against it come in the deciding order, and
    none is a yes."""

    version: int | None
    before: int | None
    reasons: list[str]

    @property
    def words(self) -> str:
        """A sentence that names both versions, where the policy has a reason."""
        of_mandates = [reason for reason in self.reasons if reason in OF_MANDATES]
        by_policy = ", ".join(reason for reason in self.reasons if reason not in OF_MANDATES)
        said = [f"the mandate says {', '.join(of_mandates)}"] if of_mandates else []
        if by_policy or not said:
            said = [f"policy version {self.version} says {by_policy or 'yes'}", *said]
            if self.version != self.before:
                said.append(f"it was asked for under version {self.before}")
        return "; ".join(said)


def ask_again(
    loaded: Loaded, authorization: AuthorizationState, counted: Sequence[SpendChange] | None = None
) -> AskedAgain:
    """Asks the agent, the policy and the mandates of now about an authorization: a policy that was
    tightened, and a revocation, bind what still waits. `counted` is what of it stands in its
    windows, and is not to be counted again; without it, all that is reserved."""
    standing = authorization.reserved if counted is None else counted
    agent_id = authorization.agent_id
    asked = asked_by(authorization)
    policy: PolicyState | None = loaded[policy_name(agent_id)]

    def without_it(window: SpendWindow) -> SpendChange:
        spent = loaded.spent(window)
        for held in standing:
            if held.window == window:
                spent = spent.plus(held.reversed())
        return spent

    reasons = denials(asked, loaded[agent_name(agent_id)], policy, without_it, loaded.now)
    chain = chain_in(loaded, authorization.mandates)
    reasons += mandate_denials(asked, chain, without_it, loaded.now)
    version = loaded.version(policy_name(agent_id)) or None
    return AskedAgain(version, authorization.policy_version, reasons)


def asked_by(authorization: AuthorizationState) -> Asked:
    """What an authorization asks of policy and mandates."""
    return Asked(
        authorization.agent_id,
        authorization.amount_minor,
        authorization.currency,
        authorization.destination,
        mandate=authorization.mandates[-1] if authorization.mandates else None,
        purpose=authorization.purpose,
    )


def chain_in(loaded: Loaded, mandates: Sequence[str]) -> list[MandateState | None]:
    """The states of a chain of mandates; None for one that does not exist, or did not when the
    commit began."""
    names = map(mandate_name, mandates)
    return [loaded[name] if name in loaded.heads else None for name in names]
