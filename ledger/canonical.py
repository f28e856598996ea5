"""The bytes of a JSON value (RFC 8785), and the hashes that are made from them."""

import hashlib
from typing import Any

import rfc8785

# Beyond this an IEEE double, and so JSON in many languages, loses digits (RFC 8785, section 3.2.2).
MAX_SAFE_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Integers beyond 2^53 become strings.

    Raises TypeError for a float or for anything that is not JSON.
    """
    return rfc8785.dumps(_exact(value))


def digest(value: Any) -> str:
    """SHA-256 over `canonical(value)`, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        raise TypeError("a float has no exact form: use an integer or a string")
    if isinstance(value, dict):
        return {str(key): _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_SAFE_INTEGER:
        return str(value)
    return value
