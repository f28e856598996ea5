"""The requests and results of `SweepWorkflow` and `RecoverySaga`."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StrictInt, model_validator

from workflows.contract.fields import Input, Line, User

SWEEP = "sweep"
# The failure of a sweep that stopped for a person; its detail is what it found.
NEEDS_ATTENTION = "needs_attention"

NamespaceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class SweepRequest(Input):
    """Input of `SweepWorkflow`. An operator may go on where a sweep stopped: `all`, although many
    sagas look orphaned at once; `gone`, the ids of namespaces that will never come back."""

    actor: User | None = None
    reason: Line | None = None
    all: bool = False
    gone: list[NamespaceId] = Field(default_factory=list, max_length=10)

    @model_validator(mode="after")
    def _a_person_says_why(self) -> "SweepRequest":
        if (self.all or self.gone) and not (self.actor and self.reason):
            raise ValueError("all and gone need the actor and the reason of a person")
        return self


class Swept(Input):
    """Result of `SweepWorkflow`: the number of `open_sagas`, the number of these that look orphaned
    (`lost`), and the sagas that were handed to a `RecoverySaga` (`recovering`). `alerts` are for an
    operator. `stopped`: open runs that do not run, such as paused ones, and what to do, a sentence
    each. `left_alone` more look orphaned within the grace time (`AMENDS_SWEEP_GRACE`), which ends
    at `left_until`, by saga, of the first of them."""

    open_sagas: int
    lost: int
    recovering: list[str] = Field(default_factory=list)
    alerts: list[str] = Field(default_factory=list)
    stopped: list[str] = Field(default_factory=list, exclude_if=lambda stopped: not stopped)
    left_alone: int = Field(default=0, exclude_if=lambda left: not left)
    left_until: dict[str, datetime] = Field(default_factory=dict, exclude_if=lambda left: not left)

    @property
    def head(self) -> str:
        """The numbers, in a line."""
        told = f"{self.open_sagas} sagas are open, {self.lost} of them look orphaned"
        if not self.left_alone:
            return told
        return f"{told}, {self.left_alone} more are left alone until their grace time ends"


class RecoveryRequest(Input):
    """Input of `RecoverySaga`: the orphaned saga, and the epoch in which its run was lost."""

    saga_id: Annotated[str, Field(pattern=r"^[a-z]+/[A-Za-z0-9._:-]{1,128}$")]
    epoch: Annotated[StrictInt, Field(ge=1)]
    actor: User | None = None
    reason: Line | None = None
    gone: list[NamespaceId] = Field(default_factory=list, max_length=10)


class Recovered(Input):
    """Result of `RecoverySaga`: the saga was carried on and ended in `state` with `result`; or
    there was nothing to do: it had `ended`, is `carried` by another run, or is `open` after all."""

    saga_id: str
    how: Literal["recovered", "ended", "carried", "open"]
    state: str | None = None
    result: dict[str, JsonValue] | None = None
