"""The aggregate type `policy`: what an agent may spend, and from which amount on a person
approves."""

from datetime import date, datetime
from typing import ClassVar, Literal

from msgspec import field

from ledger.aggregates.aggregate import (
    AggregateType,
    Event,
    State,
    UnknownEvent,
    Upcaster,
    Value,
)
from ledger.aggregates.columns import Column, state_columns
from ledger.aggregates.spend_window import SpendLimit

# The stretches of time that a limit is set for; `total` is the policy's whole life.
Period = Literal["daily", "weekly", "monthly", "total"]
PERIODS: tuple[Period, ...] = ("daily", "weekly", "monthly", "total")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Limits(Value):
    """The limits in one currency, in its minor units; equal is allowed."""

    max_per_transaction_minor: int
    approval_threshold_minor: int
    windows: dict[Period, SpendLimit]


class Hours(Value):
    """Hours at which payments are allowed, in the time zone of the policy: on these days of the
    week, from `start` until before `end` (`HH:MM`)."""

    days: list[Day]
    start: str
    end: str


class Approver(Value, omit_defaults=True):
    """A person who may approve, up to `limit_minor` minor units of `currency`; None: any amount."""

    user: str
    currency: str | None = None
    limit_minor: int | None = None


class RunningWindow(Value):
    """A window that had begun when the time zone changed: it lasts until its own end."""

    starts_on: date
    ends_at: datetime


class Terms(Value, kw_only=True, omit_defaults=True):
    """What a policy says beyond the amounts of its first version.

    `windows` are the limits in the currency of the policy, but for the amount of a day; `further`
    the limits in other currencies. Without `allowed_destinations` every destination is allowed that
    is not refused; without `hours` every hour; without `approvers` every person approves, and
    `approvals` different ones are needed. `capture_within_s`: for how many seconds an approved
    payment waits for its capture, None without end. `running`: the windows that had begun when the
    time zone changed. `mandate_required`: a payment that names no mandate is denied.
    """

    windows: dict[Period, SpendLimit] = field(default_factory=dict)
    further: dict[str, Limits] = field(default_factory=dict)
    allowed_destinations: list[str] | None = None
    refused_destinations: list[str] = field(default_factory=list)
    hours: list[Hours] | None = None
    approvers: list[Approver] | None = None
    approvals: int = 1
    capture_within_s: int | None = None
    running: dict[Period, RunningWindow] = field(default_factory=dict)
    mandate_required: bool = False


class PolicySet(Event):
    """A policy was set; it is in force for the next request, and asked again about what still
    waits. Amounts in minor units of `currency`; equal is allowed."""

    upcasters: ClassVar[tuple[Upcaster, ...]] = (
        lambda old: {**old, "terms": {}},
        # The terms may say `mandate_required` since.
        dict,
    )

    agent_id: str
    currency: str
    max_per_transaction_minor: int
    daily_limit_minor: int
    approval_threshold_minor: int
    time_zone: str
    terms: Terms = field(default_factory=Terms)


class PolicyState(State):
    """The state of a policy, as a row of `ledger.policies`."""

    agent_id: str
    currency: str
    max_per_transaction_minor: int
    daily_limit_minor: int
    approval_threshold_minor: int
    time_zone: str
    terms: Terms

    def limits(self, currency: str) -> Limits | None:
        """The limits in a currency; None where the policy does not allow it."""
        if currency != self.currency:
            return self.terms.further.get(currency)
        daily = self.terms.windows.get("daily", SpendLimit())
        return Limits(
            max_per_transaction_minor=self.max_per_transaction_minor,
            approval_threshold_minor=self.approval_threshold_minor,
            windows=self.terms.windows
            | {"daily": daily.changed(amount_minor=self.daily_limit_minor)},
        )


def evolve(state: PolicyState | None, event: Event) -> PolicyState:
    """Folds one event into the state of a policy. Raises UnknownEvent."""
    if isinstance(event, PolicySet):
        return PolicyState(**event.fields())
    raise UnknownEvent(f"{type(event).__name__} does not fit the state of a policy")


POLICY = AggregateType(
    name="policy",
    columns=state_columns(
        "policies",
        Column("agent_id", "text", nullable=False),
        Column("currency", "text", nullable=False),
        Column("max_per_transaction_minor", "bigint", nullable=False),
        Column("daily_limit_minor", "bigint", nullable=False),
        Column("approval_threshold_minor", "bigint", nullable=False),
        Column("time_zone", "text", nullable=False),
        Column("terms", "jsonb", nullable=False),
    ),
    state=PolicyState,
    events=(PolicySet,),
    evolve=evolve,
)


def policy_name(agent_id: str) -> str:
    """The aggregate name of an agent's policy: `policy/expense-bot`."""
    return f"policy/{agent_id}"
