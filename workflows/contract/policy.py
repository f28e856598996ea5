"""The request and the result of `PolicySaga`."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, model_validator

from activities.adapters.cbu import check_cbu
from activities.adapters.iban import check_iban
from ledger.aggregates.money import CurrencyCode, amount_text
from ledger.aggregates.policy import PERIODS
from ledger.reading import written
from workflows.contract.fields import (
    Duration,
    FirstDefaults,
    Input,
    Limit,
    Line,
    Metadata,
    Name,
    OperationId,
    Result,
    Signable,
    TimeZone,
    User,
)

Count = Annotated[StrictInt, Field(ge=0, le=1_000_000)]


def _account(text: str) -> str:
    return check_cbu(text) if text.isdecimal() else check_iban(text)


Account = Annotated[str, AfterValidator(_account)]
Accounts = Annotated[list[Account], Field(max_length=1000)]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class CurrencyLimits(Input):
    """Spending limits in minor units of one currency; None is no limit."""

    max_per_transaction_minor: Limit
    daily_limit_minor: Limit
    approval_threshold_minor: Limit
    daily_count: Count | None = None
    weekly_limit_minor: Limit | None = None
    weekly_count: Count | None = None
    monthly_limit_minor: Limit | None = None
    monthly_count: Count | None = None
    total_limit_minor: Limit | None = None
    total_count: Count | None = None

    def windows(self) -> dict[str, Any]:
        """The limits by period, as the ledger has them."""
        found = {
            period: {
                "amount_minor": getattr(self, f"{period}_limit_minor"),
                "count": getattr(self, f"{period}_count"),
            }
            for period in PERIODS
        }
        set_ = {
            period: {name: value for name, value in limit.items() if value is not None}
            for period, limit in found.items()
        }
        return {period: limit for period, limit in set_.items() if limit}


class AllowedHours(Input):
    """Hours at which payments are allowed, in the time zone of the policy: on these days, from
    `start` until before `end`."""

    days: Annotated[list[Weekday], Field(min_length=1, max_length=7)]
    start: Clock
    end: Clock

    @model_validator(mode="after")
    def _in_order(self) -> "AllowedHours":
        if self.start >= self.end:
            raise ValueError("start is not before end: hours over midnight are two entries")
        return self


class PolicyApprover(Input):
    """A person who may approve: in any currency, or up to `limit_minor` minor units of one."""

    user: User
    currency: CurrencyCode | None = None
    limit_minor: Limit | None = None

    @model_validator(mode="after")
    def _of_a_currency(self) -> "PolicyApprover":
        if self.limit_minor is not None and self.currency is None:
            raise ValueError("limit_minor needs a currency")
        return self

    def can(self, currency: str, threshold_minor: int) -> bool:
        """Whether this person may approve anything above the threshold in a currency."""
        above = self.limit_minor is None or self.limit_minor > threshold_minor
        return self.currency in (None, currency) and above


class PolicyRequest(CurrencyLimits, Signable):
    """Input of `PolicySaga`: what an agent may spend, in minor units of `currency`. An amount equal
    to a limit is allowed, equal to the threshold is automatic.

    `further` are the limits in other currencies. Without `allowed_destinations` every destination
    is allowed that is not refused, without `hours` every hour, without `approvers` every person
    approves; `approvals` different people have to. `capture_within`: how long an approved payment
    waits for its capture (default P7D). `mandate_required`: it pays under a mandate only.
    """

    first_defaults: ClassVar[FirstDefaults] = {
        "operation_id": None,
        "time_zone": "UTC",
        "reason": None,
        **dict.fromkeys(
            ("daily_count", "weekly_limit_minor", "weekly_count", "monthly_limit_minor")
        ),
        **dict.fromkeys(("monthly_count", "total_limit_minor", "total_count", "capture_within")),
        **dict.fromkeys(("allowed_destinations", "hours", "approvers")),
        "further": {},
        "refused_destinations": [],
        "approvals": 1,
        "mandate_required": False,
    }

    operation_id: OperationId | None = None
    agent_id: Name
    currency: CurrencyCode
    time_zone: TimeZone = "UTC"
    further: Annotated[dict[CurrencyCode, CurrencyLimits], Field(max_length=20)] = Field(
        default_factory=dict
    )
    allowed_destinations: Accounts | None = None
    refused_destinations: Accounts = Field(default_factory=list)
    hours: Annotated[list[AllowedHours], Field(max_length=50)] | None = None
    approvers: Annotated[list[PolicyApprover], Field(max_length=100)] | None = None
    approvals: Annotated[StrictInt, Field(ge=1, le=5)] = 1
    capture_within: Duration | None = None
    mandate_required: Annotated[StrictBool, Field(exclude_if=lambda required: not required)] = False
    actor: User
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> "PolicyRequest":
        if self.currency in self.further:
            raise ValueError("further has limits in the currency of the policy as well")
        for currency in (self.currency, *self.further):
            limits = self if currency == self.currency else self.further[currency]
            threshold = limits.approval_threshold_minor
            able = {each.user for each in self.approvers or () if each.can(currency, threshold)}
            if self.approvers is not None and len(able) < self.approvals:
                raise ValueError(
                    f"{self.approvals} approvals are needed, and {len(able)} approvers may approve "
                    f"more than the threshold in {currency}"
                )
        return self

    def terms(self) -> dict[str, Any]:
        """What the policy says beyond its amounts, as the ledger has it; empty where it says
        nothing."""
        plain = {"allowed_destinations", "refused_destinations", "hours", "approvers", "approvals"}
        given = written(self, include=plain | {"mandate_required"}, exclude_defaults=True)
        windows = self.windows()
        windows["daily"].pop("amount_minor")
        further = {
            currency: {
                "max_per_transaction_minor": limits.max_per_transaction_minor,
                "approval_threshold_minor": limits.approval_threshold_minor,
                "windows": limits.windows(),
            }
            for currency, limits in self.further.items()
        }
        within = self.capture_within
        terms = {
            "windows": {period: limit for period, limit in windows.items() if limit},
            "further": further,
            "capture_within_s": -(-within // timedelta(seconds=1)) if within else None,
            **given,
        }
        return {name: value for name, value in terms.items() if value not in (None, {})}

    def about(self) -> list[str]:
        """What is asked for, for people: the agent and its limits."""
        at_once, daily, above = (
            amount_text(minor, self.currency)
            for minor in (
                self.max_per_transaction_minor,
                self.daily_limit_minor,
                self.approval_threshold_minor,
            )
        )
        first = f"policy of agent {self.agent_id}: at most {at_once} at once"
        return [first, f"daily limit: {daily}", f"a person approves above: {above}"]


class PolicyResult(Result):
    """Result of `PolicySaga`: the version of the policy that decisions will name."""

    state: Literal["set"]
    agent_id: str
    policy_version: int
