"""The bytes of a JSON value (RFC 8785), and the hashes that are made from them."""

import hashlib
import json
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
    if _is_plain(value):
        try:
            return _encode(value).encode()
        except UnicodeEncodeError:
            pass
    return rfc8785.dumps(_exact(value))


def digest(value: Any) -> str:
    """SHA-256 over `canonical(value)`, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _is_plain(value: Any) -> bool:
    """Whether the encoder of Python, which is many times faster, gives the same bytes."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    if kind is dict:
        for key, item in value.items():
            # Beyond ASCII the order by UTF-16 code units may differ from the order by characters.
            if type(key) is not str or not key.isascii():
                return False
            if type(item) is not str and not _is_plain(item):
                return False
        return True
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
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
