"""Says from the row of a step how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Undo = Literal["undone", "skipped"]

# Its undo has ended, one way or the other.
ENDED = frozenset({"undone", "skipped"})


@dataclass(frozen=True)
class UndoReport:
    """How the undo of a step ended: see `StepUndone`."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as pydantic reads it

    note: str
    residual: str | None = None
    tries: int = 1


@dataclass(frozen=True)
class StepReport:
    """How a step ended, for people and programs: what it did at which try, and its undo.

    `outcome` `unknown` of a step that was undone: nobody ever knew whether it had happened.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as pydantic reads it

    name: str
    outcome: Literal["started", "unknown", "done", "refused", "failed"]
    tries: int
    undo_outcome: Undo | None = None
    undo_tries: int = 0
    residual: str | None = None

    def ended(self, undo: Undo, undone: UndoReport) -> "StepReport":
        """The report of the same step after its undo."""
        return replace(
            self,
            outcome="unknown" if self.outcome == "started" else self.outcome,
            undo_outcome=undo,
            undo_tries=undone.tries,
            residual=undone.residual,
        )


def report_of(step: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the `StepReport` of a step, from those of its state."""
    ended = step["state"] in ENDED
    # Only what was done left a result.
    outcome = "unknown" if step["result"] is None else "done"
    return {
        "name": step["name"],
        "outcome": outcome if ended else step["state"],
        "tries": step["tries"],
        "undo_outcome": step["state"] if ended else None,
        "undo_tries": step["undo_tries"],
        "residual": step["residual"],
    }
