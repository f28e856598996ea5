"""The reasons of an end in words: a clause for each word of the contract."""

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    # denials, in deciding order
    "missing_signature": "the request is not signed",
    "invalid_signature": "the signature is not that of the agent",
    "unknown_agent": "no agent of this name is registered",
    "agent_revoked": "the agent is revoked",
    "account_revoked": "the account is revoked",
    "no_policy": "no policy says what the agent may spend",
    "unknown_time_zone": "the time zone of the policy of the agent is unknown",
    "currency_not_allowed": "the policy of the agent is in another currency",
    "destination_not_allowed": "neither policy nor bank allow a payment to this destination",
    "outside_allowed_hours": "the policy of the agent allows no payment at this hour",
    "no_mandate": "the policy of the agent allows payments under a mandate only",
    "exceeded_max_transaction_limit": "the amount is above the limit of the agent for one payment",
    "exceeded_daily_limit": "the agent would spend more than its limit of a day",
    "exceeded_daily_count": "the agent would make more payments than its limit of a day",
    "exceeded_weekly_limit": "the agent would spend more than its limit of a week",
    "exceeded_weekly_count": "the agent would make more payments than its limit of a week",
    "exceeded_monthly_limit": "the agent would spend more than its limit of a month",
    "exceeded_monthly_count": "the agent would make more payments than its limit of a month",
    "exceeded_total_limit": "the agent would spend more than its limit in all",
    "exceeded_total_count": "the agent would make more payments than its limit in all",
    "unknown_mandate": "no mandate of this name is granted",
    "mandate_of_another_agent": "the mandate is held by another agent",
    "mandate_revoked": "the mandate, or one above it, is revoked",
    "mandate_not_valid": "the mandate, or one above it, is not valid at this time",
    "mandate_currency_not_allowed": "the mandate is in another currency",
    "mandate_destination_not_allowed": "a mandate allows no payment to this destination",
    "mandate_purpose_not_allowed": "a mandate allows no payment for this purpose",
    "exceeded_mandate_limit": "more would be paid than a mandate, or one above it, allows",
    "exceeded_mandate_count": "more payments would be made than a mandate, or one above it, allows",
    # refusals of an approval
    "changed": "what is approved is not what is asked for",
    "not_an_approver": "the policy does not name this approver",
    "exceeded_approver_limit": "the amount is above the limit of the approver",
    "exceeded_asked_amount": "the amount is above what is asked for",
    # refusals of a mandate
    "not_mandate_holder": "the mandate is granted by a user, delegated by a user or its agent, and "
    "revoked by a user or an agent that holds it or one above it",
    "mandate_exists": "a mandate of this name is granted already",
    "mandate_too_deep": "too many mandates are above it",
    "wider_mandate": "the mandate allows more than the one above it",
    # refusals of a key
    "not_holder": "the key is registered and revoked by its holder, the user of the agent that "
    "holds it, or an officer",
    "unknown_key": "no such key of this holder is registered",
    "key_exists": "the key is registered already",
    "key_expired": "the validity of the key is over",
    # denials of a refund, in deciding order
    "unknown_payment": "no payment of this name was asked for",
    "capture_undecided": "the capture of the payment is under way, or its outcome in doubt",
    "not_captured": "the payment was not captured",
    "not_refundable": "the adapter of the payment refunds nothing",
    "another_currency": "the payment is in another currency",
    "exceeds_captured": "the amount is above what is left of the payment",
    "exceeds_one_capture": "the amount is above what is left of each capture of the payment",
    # causes of a compensation
    "needs_approval": "the policy of now asks for people who have not approved",
    "capture_expired": "the agent did not capture the payment in time",
    "provider_refused": "the bank refused it",
    "provider_failed": "the bank did not carry it out",
    "rejected": "the payment was rejected",
    "approval_expired": "nobody approved the payment in time",
    "cancelled": "the saga was cancelled",
    "voided": "what was not captured was given up",
    "lost_run": "the run of the saga was lost in Temporal",
}


def in_words(reason: str) -> str:
    """A reason in words, and the word itself; the word alone where there are none."""
    words = REASONS.get(reason)
    return f"{words} ({reason})" if words else reason
