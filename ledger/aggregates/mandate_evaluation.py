"""Evaluates the mandates above a payment, and the delegation of a part of one. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from ledger.aggregates.mandate import MandateGranted, MandateState
from ledger.aggregates.policy_evaluation import Asked, Spent
from ledger.aggregates.spend_window import SpendLimit, SpendWindow

# Far deeper than people delegate: each payment checks, holds and reserves the whole chain.
MAX_DEPTH = 16

# All reasons of a mandate, in their deciding order, after those of the policy.
REASONS = (
    *("unknown_mandate", "mandate_of_another_agent", "mandate_revoked", "mandate_not_valid"),
    *("mandate_currency_not_allowed", "mandate_destination_not_allowed"),
    *("mandate_purpose_not_allowed", "exceeded_mandate_limit", "exceeded_mandate_count"),
)

Chain = Sequence[MandateState | None]


def known(chain: Chain) -> list[MandateState] | None:
    """The mandates of a chain, the named one last; None where one does not exist, or the chain is
    not the one that the named mandate has."""
    found = [mandate for mandate in chain if mandate is not None]
    named = [mandate.mandate_id for mandate in found]
    is_whole = bool(found) and len(found) == len(chain) and found[-1].chain == named[:-1]
    return found if is_whole else None


def mandate_denials(asked: Asked, chain: Chain, spent: Spent, now: datetime) -> list[str]:
    """Every reason of the mandates to deny the request, the first decisive; none for a request that
    names no mandate. `chain`: the named one, last, after all above it; None for one that does not
    exist."""
    if asked.mandate is None:
        return []
    mandates = known(chain)
    if mandates is None or mandates[-1].mandate_id != asked.mandate:
        return ["unknown_mandate"]
    reasons = set[str]()
    if mandates[-1].agent_id != asked.agent_id:
        reasons.add("mandate_of_another_agent")
    for mandate in mandates:
        reasons.update(_of_terms(asked, mandate, now))
        if mandate.currency == asked.currency:
            reasons.update(_of_budget(asked, mandate, spent))
    return sorted(reasons, key=REASONS.index)


def mandate_limits(chain: Chain) -> dict[SpendWindow, SpendLimit]:
    """The limits of the windows of a chain."""
    return {mandate.window: mandate.limit for mandate in chain if mandate is not None}


def _of_terms(asked: Asked, mandate: MandateState, now: datetime) -> Iterator[str]:
    if mandate.state == "revoked":
        yield "mandate_revoked"
    is_over = mandate.valid_until is not None and now >= mandate.valid_until
    if now < mandate.valid_from or is_over:
        yield "mandate_not_valid"
    if mandate.currency != asked.currency:
        yield "mandate_currency_not_allowed"
    if mandate.destinations is not None and asked.destination not in mandate.destinations:
        yield "mandate_destination_not_allowed"
    if mandate.purposes is not None and asked.purpose not in mandate.purposes:
        yield "mandate_purpose_not_allowed"


def _of_budget(asked: Asked, mandate: MandateState, spent: Spent) -> Iterator[str]:
    limit, before = mandate.limit, spent(mandate.window)
    total = before.amount_minor + asked.amount_minor
    if limit.amount_minor is not None and total > limit.amount_minor:
        yield "exceeded_mandate_limit"
    if limit.count is not None and before.count + 1 > limit.count:
        yield "exceeded_mandate_count"


def wider(asked: MandateGranted, above: MandateState) -> str | None:
    """Why a mandate is no part of the one directly above it: a sentence without amounts and
    accounts. None where it allows nothing that the one above does not allow."""
    name, until = above.mandate_id, above.valid_until
    if asked.currency != above.currency:
        return f"mandate {name} is in another currency"
    if _exceeds(asked.amount_minor, above.amount_minor):
        return f"the amount is above that of mandate {name}"
    if _exceeds(asked.count, above.count):
        return f"the count is above that of mandate {name}"
    if _is_wider(asked.destinations, above.destinations):
        return f"mandate {name} does not allow all of the destinations"
    if _is_wider(asked.purposes, above.purposes):
        return f"mandate {name} does not allow all of the purposes"
    begins_early = asked.valid_from < above.valid_from
    ends_late = until is not None and (asked.valid_until is None or asked.valid_until > until)
    return (
        f"mandate {name} is not valid for all of that time" if begins_early or ends_late else None
    )


def _exceeds(asked: int | None, above: int | None) -> bool:
    return above is not None and (asked is None or asked > above)


def _is_wider(asked: list[str] | None, above: list[str] | None) -> bool:
    return above is not None and (asked is None or not set(asked) <= set(above))
