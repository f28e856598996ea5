"""The answer of the query `progress` and of the updates."""

from typing import Literal

from pydantic import (
    Field,
    JsonValue,
)

from workflows.contract.fields import Input
from workflows.contract.updates import Verb

# What a saga waits for whose run is paused in Temporal.
UNPAUSE = "unpause in Temporal"


class StepProgress(Input):
    """One step as `progress` shows it.

    `unknown`: its outcome is in doubt, and it is to be undone. `tries` had no success
    so far, or are those it took; `verbs` are the updates that it takes from an operator now.
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
    """Answer of the query `progress` and of the updates: the state of the saga and of its steps.

    `state` is a state of the saga; `waits_for` is `approval` or `capture` while it waits for
    somebody, the step that is being resolved, needs attention, or is undone again and again, or
    `unpause in Temporal`;
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
        """Whether the saga goes on only when a person decides."""
        if self.state == "needs_attention" or self.waits_for == UNPAUSE:
            return True
        return self.state == "running" and self.waits_for != ""
