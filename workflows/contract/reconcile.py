"""The requests and results of `ReconcileSaga` and `CaseSaga`."""

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, model_validator

from workflows.contract.fields import (
    Duration,
    FirstDefaults,
    Input,
    Line,
    Metadata,
    OperationId,
    Result,
    Signable,
    TimeZone,
    User,
)

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Adapter = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]
CaseId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class StatementFile(Input):
    """A file in the folder of the worker's setting `AMENDS_STATEMENTS`, and its SHA-256."""

    name: FileName
    sha256: Sha256


class Listing(Input):
    """What the adapter itself lists as booked, from `begins_at` until before `ends_at`."""

    begins_at: AwareDatetime
    ends_at: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> "Listing":
        if self.ends_at <= self.begins_at:
            raise ValueError("ends_at must be after begins_at")
        return self


class ReconcileRequest(Signable):
    """Input of `ReconcileSaga`: the bank's file, or the adapter's own list, or all files of the
    folder that are not on record (`arrived`), compared with the transfers of the worker's adapter.

    A booking may come as late as `booked_within` after its transfer; until then it is not missing.
    `time_zone` is that of days and times which name none.
    """

    first_defaults: ClassVar[FirstDefaults] = {
        "operation_id": None,
        "statement": None,
        "listing": None,
        "arrived": False,
        "booked_within": "P1D",
        "time_zone": "UTC",
        "reason": None,
    }

    operation_id: OperationId | None = None
    statement: StatementFile | None = None
    listing: Listing | None = None
    arrived: bool = False
    booked_within: Duration = timedelta(days=1)
    time_zone: TimeZone = "UTC"
    actor: User
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> "ReconcileRequest":
        if [self.statement is None, self.listing is None, not self.arrived].count(False) != 1:
            raise ValueError("one of statement, listing and arrived is needed")
        return self

    def about(self) -> list[str]:
        """What is asked for, for people: the file by its name, or the time."""
        if self.statement is not None:
            return [f"reconcile the statement {self.statement.name}"]
        if self.listing is None:
            return ["reconcile the statements that arrived"]
        begins, ends = (_text(at) for at in (self.listing.begins_at, self.listing.ends_at))
        return [f"reconcile the adapter's list from {begins} to {ends}"]


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


class ReconcileResult(Result):
    """Result of `ReconcileSaga`: `agreed`, or `differences`, each with a case, or `refused`: the
    file can't be used, for `reason` and `detail`, and nothing of it was.

    `repeated`: the same file was reconciled before, and this is what it came to then. Of `arrived`
    the figures are those of `files` files, of which the refused ones are in `detail`.
    """

    state: Literal["agreed", "differences", "refused"]
    statement_id: str | None = None
    matched: int = 0
    differences: int = 0
    kinds: dict[str, int] = Field(default_factory=dict)
    awaited: int = 0
    repeated: bool = False
    files: int = 1
    reason: str | None = None
    detail: str | None = None


class CaseRequest(Signable):
    """Input of `CaseSaga`: a person closes a case; `evidence` says what became of the
    difference."""

    first_defaults: ClassVar[FirstDefaults] = {"operation_id": None, "reason": None}

    operation_id: OperationId | None = None
    case_id: CaseId
    evidence: Annotated[Line, Field(min_length=1)]
    actor: User
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)

    def about(self) -> list[str]:
        """What is asked for, for people."""
        return [f"close case {self.case_id}"]


class CaseResult(Result):
    """Result of `CaseSaga`."""

    state: Literal["closed"]
    case_id: str
