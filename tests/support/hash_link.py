"""The hash link of an event (docs/hash.md), by code that shares nothing with the ledger's."""

import hashlib
from datetime import UTC
from typing import Any

COLUMNS = (
    *("event_id", "aggregate_id", "aggregate", "version", "event_type", "schema_version"),
    *("timestamp", "user_id", "saga_id", "step", "payload", "metadata"),
)
SHORT = {'"': '"', "\\": "\\", "\b": "b", "\t": "t", "\n": "n", "\f": "f", "\r": "r"}


def json_8785(value: Any) -> str:
    """RFC 8785 for JSON without floats; integers beyond 2^53 - 1 as strings."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return f'"{value}"' if abs(value) >= 2**53 else str(value)
        case str():
            return f'"{"".join(map(_escaped, value))}"'
        case list():
            return f"[{','.join(map(json_8785, value))}]"
        case dict():
            keys = sorted(value, key=lambda key: str(key).encode("utf-16-be"))
            return f"{{{','.join(f'{json_8785(key)}:{json_8785(value[key])}' for key in keys)}}}"
    raise TypeError(f"{type(value).__name__} has no hash")


def _escaped(char: str) -> str:
    if char in SHORT:
        return "\\" + SHORT[char]
    return f"\\u{ord(char):04x}" if char < " " else char


def link(previous: str, event: dict[str, Any]) -> str:
    """The text that is hashed, of the columns of an event (docs/hash.md)."""
    utc = event["timestamp"].astimezone(UTC)
    moment = f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond:06d}Z"
    ids = {name: str(event[name]) for name in ("event_id", "aggregate_id")}
    return json_8785({**event, **ids, "timestamp": moment, "previous": previous})


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
