"""Says from the row of a step how it ended; without the models, which take time to import."""

from collections.abc import Mapping
from typing import Any

# Its undo has ended, one way or the other.
ENDED = frozenset({"undone", "skipped"})


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
