"""Evaluates a policy for a request: all reasons against it, in the deciding order of the contract.

Pure: the same states and the same moment give the same answer, in the deciding commit as in a
simulation over the log.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from ledger.aggregates.agent import AgentState
from ledger.aggregates.policy import PERIODS, Hours, Period, PolicyState
from ledger.aggregates.spend_periods import stretch
from ledger.aggregates.spend_window import SpendChange, SpendLimit, SpendWindow

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Windows = Mapping[Period, SpendWindow]
Spent = Callable[[SpendWindow], SpendChange]


@dataclass(frozen=True)
class Asked:
    """What a policy is asked about: minor units of a currency (ISO 4217) to a destination, which is
    `payable` where the payment adapter pays to such an account; under a mandate, for a purpose."""

    agent_id: str
    amount_minor: int
    currency: str
    destination: str
    payable: bool = True
    mandate: str | None = None
    purpose: str | None = None


def windows_at(policy: PolicyState, asked: Asked, now: datetime) -> Windows | None:
    """The windows that count a payment at this moment, one for each period, limited or not: a limit
    that is set later counts what was spent before. None where this machine does not know the time
    zone of the policy: one that nobody knows is refused when a policy is set, and may be renamed
    since."""
    try:
        return {
            period: SpendWindow(
                agent_id=asked.agent_id,
                currency=asked.currency,
                period=period,
                starts_on=stretch(policy, period, now).starts_on,
            )
            for period in PERIODS
        }
    except (KeyError, ValueError, OSError):
        return None


def limits_of(policy: PolicyState, windows: Windows) -> dict[SpendWindow, SpendLimit]:
    """The limits of the windows that have one."""
    return {
        window: limit
        for period, window in windows.items()
        if (limits := policy.limits(window.currency)) is not None
        and (limit := limits.windows.get(period)) is not None
    }


def denials(
    asked: Asked,
    agent: AgentState | None,
    policy: PolicyState | None,
    spent: Spent,
    now: datetime,
) -> list[str]:
    """Every reason to deny the request, the first decisive; none where it is allowed. `spent` is
    what the windows have without this request."""
    reasons = [*_of_agent(agent)]
    if policy is None:
        return [*reasons, "no_policy"]
    windows = windows_at(policy, asked, now)
    if windows is None:
        reasons.append("unknown_time_zone")
    reasons += _of_terms(asked, policy, None if windows is None else now)
    if windows is not None:
        reasons += _of_amounts(asked, policy, windows, spent)
    return reasons


def verdict(
    asked: Asked, policy: PolicyState | None, reasons: Sequence[str]
) -> Literal["denied", "pending_approval", "approved"]:
    """What a policy decides with these reasons against a request: without any, a person decides
    above the threshold."""
    limits = policy.limits(asked.currency) if policy else None
    if reasons or limits is None:
        return "denied"
    return (
        "approved" if asked.amount_minor <= limits.approval_threshold_minor else "pending_approval"
    )


def _of_agent(agent: AgentState | None) -> Iterator[str]:
    if agent is None:
        yield "unknown_agent"
    elif agent.state == "revoked":
        yield "agent_revoked"


def _of_terms(asked: Asked, policy: PolicyState, now: datetime | None) -> Iterator[str]:
    terms = policy.terms
    if policy.limits(asked.currency) is None:
        yield "currency_not_allowed"
    allowed = terms.allowed_destinations
    refused = not asked.payable or asked.destination in terms.refused_destinations
    if refused or (allowed is not None and asked.destination not in allowed):
        yield "destination_not_allowed"
    if now is not None and terms.hours is not None and not _is_within(terms.hours, policy, now):
        yield "outside_allowed_hours"
    if terms.mandate_required and asked.mandate is None:
        yield "no_mandate"


def _of_amounts(asked: Asked, policy: PolicyState, windows: Windows, spent: Spent) -> Iterator[str]:
    limits = policy.limits(asked.currency)
    if limits is None:
        return
    if asked.amount_minor > limits.max_per_transaction_minor:
        yield "exceeded_max_transaction_limit"
    for period, window in windows.items():
        limit, before = limits.windows.get(period, SpendLimit()), spent(window)
        if limit.amount_minor is not None and (
            before.amount_minor + asked.amount_minor > limit.amount_minor
        ):
            yield f"exceeded_{period}_limit"
        if limit.count is not None and before.count + 1 > limit.count:
            yield f"exceeded_{period}_count"


def _is_within(hours: list[Hours], policy: PolicyState, now: datetime) -> bool:
    there = now.astimezone(ZoneInfo(policy.time_zone))
    day, clock = _DAYS[there.weekday()], f"{there:%H:%M}"
    return any(day in each.days and each.start <= clock < each.end for each in hours)
