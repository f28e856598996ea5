"""The bytes of a JSON value (RFC 8785), and the hashes that are made from them."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import rfc8785

# Beyond this an IEEE double, and so JSON in many languages, loses digits (RFC 8785, section 3.2.2).
MAX_SAFE_INTEGER = 2**53 - 1

_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Integers beyond 2^53 become strings.

    Raises TypeError for a float and ValueError for anything else that is not JSON in UTF-8.
    """
    try:
        return canonical_text(value).encode()
    except UnicodeEncodeError:
        return rfc8785.dumps(_exact(value))


def canonical_text(value: Any) -> str:
    """As `canonical`, before it is encoded: half of a surrogate pair is refused only then."""
    if type(value) is str or _are_plain((value,)):
        return _encode(value)
    return rfc8785.dumps(_exact(value)).decode()


def digest(value: Any) -> str:
    """SHA-256 over `canonical(value)`, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _are_plain(values: Iterable[Any]) -> bool:
    """Whether the encoder of Python, which is many times faster, gives the same bytes."""
    for value in values:
        kind = type(value)
        if kind is str or value is None or kind is bool:
            continue
        if kind is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            continue
        if kind is dict and _are_ascii(value) and _are_plain(value.values()):
            continue
        if (kind is list or kind is tuple) and _are_plain(value):
            continue
        return False
    return True


def _are_ascii(keys: Iterable[Any]) -> bool:
    """Beyond ASCII the order by UTF-16 code units may differ from the order by characters."""
    try:
        return "".join(keys).isascii()
    except TypeError:
        return False


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
