"""What goes into the workflows and what comes out: the JSON that a client of any language sees.

Amounts are integers in minor units, times and durations are ISO 8601 text. Unknown fields are
refused. Errors of these models name the field and the reason, never the value.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictInt,
    field_validator,
    model_validator,
)

from activities.adapters.cbu import check_cbu
from ledger.aggregates.money import MAX_MINOR, CurrencyCode, Money
from ledger.aggregates.saga_step import StepReport
from ledger.aggregates.time_zones import ZONES
from ledger.store.canonical_json import canonical, digest

# Caller's context goes to every event of the saga, so it stays small.
MAX_METADATA_BYTES = 2_048
MAX_METADATA_DEPTH = 16
# Each resource is a step: the history of one change stays far below Temporal's limit.
MAX_RESOURCES = 200


def _plain_text(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("control characters are not allowed")
    return text


def _iso_duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not value.startswith("P"):
        raise ValueError("an ISO 8601 duration such as PT10M or P1D is needed")
    return value


def _small_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if _depth(value, MAX_METADATA_DEPTH) > MAX_METADATA_DEPTH:
        raise ValueError(f"nested deeper than {MAX_METADATA_DEPTH} levels")
    try:
        size = len(canonical(value))
    except TypeError as error:
        raise ValueError("a float is not allowed: use an integer or a string") from error
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"{size} bytes are too many: at most {MAX_METADATA_BYTES}")
    if _has_nul(value):
        raise ValueError("the character NUL is not allowed")
    return value


def _parts(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


def _depth(value: JsonValue, limit: int) -> int:
    if limit < 0:
        return 1
    return 1 + max((_depth(part, limit - 1) for part in _parts(value)), default=0)


def _has_nul(value: JsonValue) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return any(_has_nul(part) for part in _parts(value))


OperationId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
# `system:...` is us: nobody outside may speak in that name.
Actor = Annotated[str, Field(pattern=r"^(user|agent):[A-Za-z0-9._@+-]{1,64}$")]
User = Annotated[str, Field(pattern=r"^user:[A-Za-z0-9._@+-]{1,64}$")]
Line = Annotated[str, Field(max_length=200), AfterValidator(_plain_text)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_small_json)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_iso_duration),
    Field(gt=timedelta(0), le=timedelta(days=366)),
]
Limit = Annotated[StrictInt, Field(ge=0, le=MAX_MINOR)]


class Input(BaseModel):
    """What every input has: frozen, and no field that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def fingerprint(self) -> str:
        """Tells two requests apart. Without the caller's context, and without defaults, so that a
        field that a later version adds changes no fingerprint."""
        return digest(self.model_dump(mode="json", exclude_defaults=True, exclude={"metadata"}))


class Destination(Input):
    """Where the money goes: a CBU or CVU of 22 digits."""

    cbu: Annotated[str, AfterValidator(check_cbu)]


class PaymentRequest(Input):
    """Input of `PaymentSaga`. `capture` `manual` waits for the update `capture`."""

    operation_id: OperationId
    agent_id: Name
    amount: Money
    destination: Destination
    description: Line = ""
    capture: Literal["automatic", "manual"] = "automatic"
    approve_within: Duration = timedelta(days=1)
    metadata: Metadata = Field(default_factory=dict)

    @property
    def actor(self) -> str:
        return f"agent:{self.agent_id}"


# Left out where there is nothing to tell: a saga that completed did each step once.
Reports = Annotated[list[StepReport], Field(exclude_if=lambda reports: not reports)]

PaymentEnd = Literal["captured", "denied", "rejected", "expired", "voided", "compensated"]


class PaymentResult(Input):
    """Result of `PaymentSaga`. `reason` is one of the contract's words; `residuals` names what
    could not be undone, and `steps` how each step of a saga that was undone ended."""

    state: PaymentEnd
    authorization_id: str | None = None
    transfer_id: str | None = None
    provider_reference: str | None = None
    reason: str | None = None
    residuals: list[str] = Field(default_factory=list)
    steps: Reports = Field(default_factory=list)


class AgentRequest(Input):
    """Input of `AgentSaga`: let an agent ask on behalf of `user`, or stop it."""

    operation_id: OperationId
    action: Literal["register", "revoke"]
    agent_id: Name
    user: User | None = None
    actor: User
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _user_of_a_new_agent(self) -> "AgentRequest":
        if self.action == "register" and self.user is None:
            raise ValueError("user is needed to register an agent")
        return self


AgentEnd = Literal["registered", "revoked"]


class AgentResult(Input):
    """Result of `AgentSaga`."""

    state: AgentEnd
    agent_id: str


def _known_zone(name: str) -> str:
    if name not in ZONES:
        raise ValueError("not an IANA time zone, such as America/Argentina/Buenos_Aires")
    return name


class PolicyRequest(Input):
    """Input of `PolicySaga`: what an agent may spend, in minor units of `currency`. Equal to a
    limit is allowed, equal to the threshold is automatic."""

    operation_id: OperationId
    agent_id: Name
    currency: CurrencyCode
    max_per_transaction_minor: Limit
    daily_limit_minor: Limit
    approval_threshold_minor: Limit
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    actor: User
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)


class PolicyResult(Input):
    """Result of `PolicySaga`: the version that decisions will name."""

    state: Literal["set"]
    agent_id: str
    policy_version: int


class Resource(Input):
    """A resource that shall be present. `spec` is checked by the model of its kind."""

    name: Name
    kind: Annotated[str, Field(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")]
    spec: dict[str, JsonValue] = Field(default_factory=dict)
    depends_on: list[Name] = Field(default_factory=list, max_length=MAX_RESOURCES)


class ChangeRequest(Input):
    """Input of `InfrastructureSaga`: what shall be present and what absent in an environment."""

    operation_id: OperationId
    environment: Name = "dev"
    actor: Actor
    reason: Line | None = None
    present: list[Resource] = Field(default_factory=list, max_length=MAX_RESOURCES)
    absent: list[Name] = Field(default_factory=list, max_length=MAX_RESOURCES)
    force: bool = False
    allow_irreversible: bool = False
    metadata: Metadata = Field(default_factory=dict)


class RollbackRequest(Input):
    """Input of `RollbackSaga`: bring resources back to what they were at `to`.

    `to` is `before:CHANGE` (an operation id), a time with a zone, or a position in the log;
    `resources` limits it to these names. A run that a schedule starts has no `operation_id`: it
    takes the one in its workflow id.
    """

    operation_id: OperationId | None = None
    to: Annotated[str, Field(min_length=1, max_length=80)]
    environment: Name = "dev"
    resources: Annotated[list[Name], Field(max_length=MAX_RESOURCES)] | None = None
    actor: Actor
    reason: Line | None = None
    force: bool = False
    allow_irreversible: bool = False
    metadata: Metadata = Field(default_factory=dict)

    @field_validator("to")
    @classmethod
    def _a_point(cls, to: str) -> str:
        if not re.fullmatch(
            r"before:[A-Za-z0-9._-]{1,64}|\d{1,18}|\d{4}-\d\d-\d\dT[0-9:.]{5,15}(Z|[+-]\d\d:?\d\d)",
            to,
            re.ASCII,
        ):
            raise ValueError("before:CHANGE, a position, or an ISO 8601 time with a zone is needed")
        return to


ChangeAction = Literal["create", "update", "replace", "delete"]


class ResourceChange(Input):
    """What was done to one resource."""

    name: str
    kind: str
    action: ChangeAction


class ChangeResult(Input):
    """Result of `InfrastructureSaga` and `RollbackSaga`.

    `unchanged`: nothing was to do; `refused`: the plan was not allowed, nothing was touched;
    `compensated`: begun and undone, and `steps` says how. `notes` says what a person should know
    (an absent name the ledger does not know).
    """

    state: Literal["applied", "unchanged", "refused", "compensated"]
    changes: list[ResourceChange] = Field(default_factory=list)
    reason: str | None = None
    notes: list[str] = Field(default_factory=list)
    residuals: list[str] = Field(default_factory=list)
    steps: Reports = Field(default_factory=list)


class By(Input):
    """Argument of the updates `approve`, `reject`, `capture`, `cancel`: who, and why."""

    actor: Actor
    reason: Line | None = None


StepText = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_text)]


class Mend(By):
    """Argument of the update `retry`: the step that waits for a person shall be tried again."""

    step: StepText


class Skip(Mend):
    """Argument of the update `skip`: the undo of the step is given up, for this reason."""

    reason: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_text)]


class Resolve(Mend):
    """Argument of the update `resolve`: how the step stands, and by what one can tell (a reference
    of the provider, a ticket). `outcome` of an undo is `undone`, which may be left out."""

    evidence: StepText
    outcome: Literal["done", "failed", "undone"] | None = None


# What a person may say of a step: the updates of these names.
Verb = Literal["retry", "skip", "resolve"]


def verbs(*, undoing: bool, outside: bool) -> list[Verb]:
    """What a person may say of a step, or of its undo.

    What our own database undoes can neither be given up nor be undone by hand.
    """
    if not outside:
        return ["retry"]
    return ["retry", "skip", "resolve"] if undoing else ["retry", "resolve"]


class StepProgress(Input):
    """One step as `progress` shows it.

    `unknown`: nobody can tell whether it happened, and it is to be undone. `tries` had no success
    so far, or are those it took; `verbs` are the updates that it takes from a person now.
    """

    name: str
    state: Literal[
        "running",
        "unknown",
        "resolving",
        "needs_attention",
        "done",
        "refused",
        "failed",
        "undoing",
        "undone",
        "skipped",
    ]
    detail: str | None = None
    tries: int = 0
    verbs: list[Verb] = Field(default_factory=list)


class Progress(Input):
    """Answer of the query `progress` and of the updates: where the saga stands.

    `state` is a state of the saga; `waits_for` is `approval` or `capture` while it waits for
    somebody, or the step that is being resolved, needs attention, or is undone again and again;
    `decision` is the authorization's state once it is known; `result` once it ended; `repeated`:
    it is the first answer, which a repeat of the request was given.
    """

    saga_id: str
    kind: str
    state: str
    waits_for: str = ""
    decision: str | None = None
    reason: str | None = None
    steps: list[StepProgress] = Field(default_factory=list)
    result: dict[str, JsonValue] | None = None
    repeated: bool = False

    @property
    def needs_person(self) -> bool:
        """Whether it goes on only when a person decides."""
        return self.state == "needs_attention" or (self.state == "running" and self.waits_for != "")
