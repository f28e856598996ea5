"""The requests and results of `InfrastructureSaga` and `RollbackSaga`."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import (
    Field,
    JsonValue,
    field_validator,
)

from workflows.contract.fields import (
    Actor,
    FirstDefaults,
    Input,
    Line,
    Metadata,
    Name,
    OperationId,
    Reports,
    Result,
    Signable,
)

# Each resource is a step: the history of one change stays far below Temporal's limit.
MAX_RESOURCES = 200


class Resource(Input):
    """A resource that shall be present. `spec` is validated by the model of its kind."""

    name: Name
    kind: Annotated[str, Field(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")]
    spec: dict[str, JsonValue] = Field(default_factory=dict)
    depends_on: list[Name] = Field(default_factory=list, max_length=MAX_RESOURCES)


class ChangeRequest(Signable):
    """Input of `InfrastructureSaga`: the resources that shall be present or absent in an
    environment. `operation_id` as in a payment."""

    first_defaults: ClassVar[FirstDefaults] = {
        "operation_id": None,
        "environment": "dev",
        "reason": None,
        "present": [],
        "absent": [],
        "force": False,
        "allow_irreversible": False,
    }

    operation_id: OperationId | None = None
    environment: Name = "dev"
    actor: Actor
    reason: Line | None = None
    present: list[Resource] = Field(default_factory=list, max_length=MAX_RESOURCES)
    absent: list[Name] = Field(default_factory=list, max_length=MAX_RESOURCES)
    force: bool = False
    allow_irreversible: bool = False
    metadata: Metadata = Field(default_factory=dict)

    def about(self) -> list[str]:
        """What is asked for, for people: the resources of the change."""
        counts = f"{len(self.present)} present, {len(self.absent)} absent"
        present = (f"{resource.name} ({resource.kind}) present" for resource in self.present)
        absent = (f"{name} absent" for name in self.absent)
        return [f"change of {self.environment}: {counts}", *present, *absent]


class RollbackRequest(Signable):
    """Input of `RollbackSaga`: bring resources back to their state at the point `to`.

    `to` is `before:CHANGE` (an operation id), a time with a zone, or a position in the log;
    `resources` limits it to these names. `operation_id` as in a payment.
    """

    first_defaults: ClassVar[FirstDefaults] = {
        "operation_id": None,
        "environment": "dev",
        "resources": None,
        "reason": None,
        "force": False,
        "allow_irreversible": False,
    }

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
            r"before:[A-Za-z0-9._:-]{1,64}|\d{1,18}|\d{4}-\d\d-\d\dT[0-9:.]{5,15}(Z|[+-]\d\d:?\d\d)",
            to,
            re.ASCII,
        ):
            raise ValueError("before:CHANGE, a position, or an ISO 8601 time with a zone is needed")
        return to

    def about(self) -> list[str]:
        """What is asked for, for people: the point, and the resources where only some are named."""
        only = (f"only {name}" for name in self.resources or [])
        return [f"rollback of {self.environment} to {self.to}", *only]


ChangeAction = Literal["create", "update", "replace", "delete"]


class ResourceChange(Input):
    """The change of one resource: its name, its kind and the action."""

    name: str
    kind: str
    action: ChangeAction


class ChangeResult(Result):
    """Result of `InfrastructureSaga` and `RollbackSaga`.

    `unchanged`: nothing was to do; `refused`: the plan was not allowed, nothing was touched;
    `compensated`: begun and undone, and `steps` says how. `notes` holds what a person should know
    (an absent name that is not in the ledger).
    """

    state: Literal["applied", "unchanged", "refused", "compensated"]
    changes: list[ResourceChange] = Field(default_factory=list)
    reason: str | None = None
    notes: list[str] = Field(default_factory=list)
    residuals: list[str] = Field(default_factory=list)
    steps: Reports = Field(default_factory=list)
