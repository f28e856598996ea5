"""The plan of a change: the JSON that `amends plan` shows and that a saga carries out."""

from typing import Literal

from pydantic import Field

from ledger.aggregates.resource import DesiredState
from workflows.contract.fields import Input

Action = Literal["create", "update", "replace", "delete", "none"]


class Operation(Input):
    """The operation on one resource: from `before` to `after`, of which None is absent.

    `version` is the ledger's version of the resource that the plan is based on, `waits_for` names
    the resources whose operations come first, `loses` says what no undo brings back.
    """

    name: str
    action: Action
    before: DesiredState | None
    after: DesiredState | None
    version: int
    waits_for: list[str] = Field(default_factory=list)
    loses: str | None = None

    @property
    def kind(self) -> str:
        """The kind that the resource will have, or had."""
        shape = self.after or self.before
        return shape.kind if shape else ""

    @property
    def line(self) -> str:
        """The operation in words: `create shop-db (postgres.database)`."""
        return f"{self.action} {self.name} ({self.kind})"


class Refusal(Input):
    """The refusal of a plan: a word that a program may compare, and a sentence."""

    reason: Literal[
        "unknown_dependency",
        "depended_on",
        "later_change",
        "claimed",
        "circular_replacement",
        "too_many",
        "outdated_spec",
        "unknown_change",
        "not_ended",
        "in_the_future",
    ]
    resource: str
    sentence: str


class Plan(Input):
    """Operations in an order in which they may be carried out; a graph by their `waits_for`."""

    environment: str
    operations: list[Operation]
    refusals: list[Refusal] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @property
    def to_do(self) -> list[Operation]:
        """The operations that do something."""
        return [operation for operation in self.operations if operation.action != "none"]

    @property
    def is_done(self) -> bool:
        """Whether everything is as it was asked for."""
        return not self.to_do and not self.refusals

    @property
    def losses(self) -> list[str]:
        """The data that no undo brings back, one sentence each."""
        return [operation.loses for operation in self.operations if operation.loses]
