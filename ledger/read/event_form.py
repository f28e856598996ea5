"""The form that every event of the log has, whatever its type."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

# What the metadata of an event may say of these, as a CHECK has it.
_METADATA = (
    ("workflow_id", str),
    ("run_id", str),
    ("activity", str),
    ("attempt", int),
    ("context", dict),
)


def faults_of(event: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of an event that can't be read: no rule of the database lets one in."""
    wrong = [] if isinstance(event["timestamp"], datetime) else ["timestamp"]
    if type(event["payload"]) is not dict:
        wrong.append("payload")
    if not is_metadata(event["metadata"]):
        wrong.append("metadata")
    return tuple(wrong)


def is_metadata(value: Any) -> bool:
    """Whether a JSON value has the form of an event's metadata."""
    if type(value) is not dict:
        return False
    # A loop and no generator: `verify` asks for each event.
    for name, known in _METADATA:  # noqa: SIM110 - twice as fast
        if name in value and type(value[name]) is not known:
            return False
    return True
