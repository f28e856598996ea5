"""The next action for each reason of an end: one sentence for each word."""

_OTHER_LIMIT = "amends policy show {agent} shows the limits, amends policy set {agent} changes them"
_OTHER_MANDATE = "amends mandate list shows what is left: pay under another one, or grant one"

ADVICE = {
    # payments
    "missing_signature": "sign the request",
    "invalid_signature": "sign the request with the agent's own key",
    "unknown_agent": "amends agent register {agent} lets it ask",
    "agent_revoked": "amends agent register {agent} lets it ask again",
    "account_revoked": "ask for another account",
    "no_policy": "amends policy set {agent} sets what it may spend",
    "unknown_time_zone": "amends policy set sets the limits in a time zone of today's list",
    "currency_not_allowed": "pay in the currency of the policy, or amends policy set {agent}",
    "destination_not_allowed": "pay to a destination of the policy, or amends policy set {agent}",
    "outside_allowed_hours": "ask again within the hours of the policy",
    "exceeded_max_transaction_limit": _OTHER_LIMIT,
    "exceeded_daily_limit": _OTHER_LIMIT,
    "exceeded_daily_count": _OTHER_LIMIT,
    "exceeded_weekly_limit": _OTHER_LIMIT,
    "exceeded_weekly_count": _OTHER_LIMIT,
    "exceeded_monthly_limit": _OTHER_LIMIT,
    "exceeded_monthly_count": _OTHER_LIMIT,
    "exceeded_total_limit": _OTHER_LIMIT,
    "exceeded_total_count": _OTHER_LIMIT,
    "no_mandate": "pay under a mandate: amends mandate list --agent {agent} lists them",
    "unknown_mandate": "amends mandate list --agent {agent} lists the mandates of the agent",
    "mandate_of_another_agent": "amends mandate list --agent {agent} lists those of the agent",
    "mandate_revoked": _OTHER_MANDATE,
    "mandate_not_valid": _OTHER_MANDATE,
    "mandate_currency_not_allowed": _OTHER_MANDATE,
    "mandate_destination_not_allowed": _OTHER_MANDATE,
    "mandate_purpose_not_allowed": "name one of its purposes: amends mandate list --json has them",
    "exceeded_mandate_limit": _OTHER_MANDATE,
    "exceeded_mandate_count": _OTHER_MANDATE,
    "needs_approval": "the policy asks for people now: ask again under a new operation id",
    "capture_expired": "the spend is released: ask again under a new operation id",
    "provider_refused": "the bank says no and nothing is held for it: amends saga {saga} shows why",
    "provider_failed": "nothing happened at the provider: repeat it under a new operation id",
    "approval_expired": "the spend is released: ask again under a new operation id",
    "lost_run": "its run was lost in Temporal: repeat it under a new operation id",
    # refunds
    "unknown_payment": "amends payments lists the payments",
    "capture_undecided": "ask again under a new operation id when the payment has ended",
    "not_captured": "no money has moved that could come back: amends payments shows its state",
    "not_refundable": "have the payee send the money back by a payment of their own",
    "another_currency": "ask in the currency of the payment: amends payments shows it",
    "exceeds_captured": "amends payments shows what was refunded: ask for less, if any is left",
    "exceeds_one_capture": "ask for the captures one by one: a refund is of one",
    # changes
    "later_change": "--force overrides the later change",
    "irreversible": "--allow-irreversible carries it out and loses the data",
    "claimed": "repeat it under a new operation id when the saga that has the resource has ended",
    # Of results that an older version wrote.
    "plan_outdated": "the resource has changed meanwhile: repeat it under a new operation id",
    "not_managed": "it exists and is not managed here: choose another name, or remove it by hand",
    "depended_on": "add the resources that depend on it to the same change",
    "unknown_dependency": "add the resource that it depends on to the same change",
    "circular_replacement": "split it into two changes",
    "too_many": "--resource limits the rollback to the resources that it names",
    "outdated_spec": "amends apply makes it by a change in today's form",
    "unknown_change": "amends sagas lists the changes",
    "not_ended": "amends cancel stops a change that has not ended",
    "in_the_future": "--at schedules it for a time to come",
}


def advice_on(reason: object, saga_id: str = "ID", agent: str | None = None) -> str | None:
    """The next action for this reason, in the saga and for the agent of these names; None where
    there is none."""
    advice = ADVICE.get(str(reason))
    return advice and advice.format(saga=saga_id, agent=agent or "AGENT")
