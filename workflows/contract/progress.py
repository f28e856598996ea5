"""The answer of the query `progress` and of the updates."""

from typing import Annotated

from pydantic import (
    Field,
    JsonValue,
)

from workflows.contract.fields import Input
from workflows.contract.waits import StepProgress, Wait


class Progress(Input):
    """Answer of the query `progress` and of the updates: the state of the saga and of its steps.

    `state` is a state of the saga; `waits_for` is `approval` or `capture` while it waits for
    somebody, or the step that is being resolved, needs attention, or is undone again and again;
    `waits` says of each of them since when, until when, for whom, and the next commands;
    `decision` is the authorization's state once it is known; `result` once it ended; `repeated`:
    it is the first answer, which a repeat of the request was given; `unsigned`: the request, or a
    decision on it, was not signed, as only development allows; `captured_minor` and `left_minor`:
    of a payment that is captured in parts, what was captured, and what may still be.
    """

    saga_id: str
    kind: str
    state: str
    waits_for: str = ""
    decision: str | None = None
    reason: str | None = None
    waits: list[Wait] = Field(default_factory=list)
    steps: list[StepProgress] = Field(default_factory=list)
    result: dict[str, JsonValue] | None = None
    repeated: bool = False
    unsigned: bool = False
    # Left out where there are no parts: a client of an earlier version does not know the fields.
    captured_minor: Annotated[int | None, Field(exclude_if=lambda minor: minor is None)] = None
    left_minor: Annotated[int | None, Field(exclude_if=lambda minor: minor is None)] = None

    @property
    def did_nothing(self) -> bool:
        """Whether nothing was done now: a repeat, or a change with nothing to do."""
        return self.repeated or self.decision == "unchanged"

    @property
    def needs_person(self) -> bool:
        """Whether the saga goes on only when a person decides."""
        alone = self.state in ("needs_attention", "orphaned", "paused")
        return alone or (self.state == "running" and self.waits_for != "")
