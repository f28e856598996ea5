"""What a person can do about the reason of an end: one sentence for each word."""

_OTHER_LIMIT = "amends policy show AGENT shows the limits, amends policy set changes them"

ADVICE = {
    # payments
    "missing_signature": "sign the request",
    "invalid_signature": "sign the request with the agent's own key",
    "unknown_agent": "amends agent register lets an agent ask",
    "agent_revoked": "amends agent register lets it ask again",
    "account_revoked": "ask for another account",
    "no_policy": "amends policy set says what the agent may spend",
    "currency_not_allowed": "pay in the currency of the policy, or amends policy set",
    "destination_not_allowed": "pay to a destination of the policy, or amends policy set",
    "outside_allowed_hours": "ask again within the hours of the policy",
    "exceeded_max_transaction_limit": _OTHER_LIMIT,
    "exceeded_daily_limit": _OTHER_LIMIT,
    "exceeded_daily_count": _OTHER_LIMIT,
    "exceeded_weekly_limit": _OTHER_LIMIT,
    "exceeded_weekly_count": _OTHER_LIMIT,
    "exceeded_monthly_limit": _OTHER_LIMIT,
    "exceeded_monthly_count": _OTHER_LIMIT,
    "provider_refused": "the bank says no and the spend is released: amends saga ID tells why",
    "provider_failed": "it did not happen: repeat it under a new operation id",
    "approval_expired": "the spend is released: ask again under a new operation id",
    "lost_run": "Temporal lost its run: ask for it again under a new operation id",
    # changes
    "later_change": "--force goes over the later change",
    "irreversible": "--allow-irreversible does it and loses the data",
    "claimed": "repeat it under a new operation id when the other saga has ended",
    "plan_outdated": "the resource has changed meanwhile: repeat it under a new operation id",
    "not_managed": "it exists and is not ours: choose another name, or take it away by hand",
    "depended_on": "take what depends on it into the same change",
    "unknown_dependency": "take what it depends on into the same change",
    "circular_replacement": "make two changes of it",
    "too_many": "--resource names those that go back",
    "outdated_spec": "make it by a change of today's form: amends apply",
    "unknown_change": "amends sagas lists the changes",
    "not_ended": "amends cancel stops a change that has not ended",
    "in_the_future": "--at does it at a time to come",
}


def advice_on(reason: object) -> str | None:
    """What to do about the reason; None where there is nothing to do."""
    return ADVICE.get(str(reason))
