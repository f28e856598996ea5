"""The bytes of a JSON value (RFC 8785), and the hashes that are made from them."""

import hashlib
import json
from collections.abc import Iterable
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from typing import Any

import rfc8785

# Beyond this an IEEE double, and so JSON in many languages, loses digits (RFC 8785, section 3.2.2).
MAX_SAFE_INTEGER = 2**53 - 1


class _NotPlain(Exception):
    """A number that has another form in RFC 8785, or none."""


def _refuse(_: Any) -> Any:
    raise _NotPlain


def _safe(digits: str) -> int:
    value = int(digits)
    return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else _refuse(value)


def _not_json(value: Any) -> Any:
    raise TypeError(f"a {type(value).__name__} is no JSON value")


# JSONEncoder makes this anew for each value, which takes longer than to encode it. At the end:
# sort_keys, skipkeys, allow_nan.
_chunks = c_make_encoder(None, _not_json, encode_basestring, None, ":", ",", True, False, False)
_decode = json.JSONDecoder().raw_decode
_decode_plain = json.JSONDecoder(parse_float=_refuse, parse_int=_safe).raw_decode


def _encode(value: Any) -> str:
    return "".join(_chunks(value, 0))


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
    if _are_plain((value,)):
        return _encode(value)
    return rfc8785.dumps(_exact(value)).decode()


def read(text: str | None) -> tuple[Any, str | None]:
    """The value of a jsonb in the server's text, and its `canonical_text`; None if it has none."""
    if text is None:
        return None, "null"
    # Then so are all keys, and any order of characters is that of RFC 8785.
    if text.isascii() and "\\u" not in text:
        try:
            value = _decode_plain(text)[0]
            return value, _encode(value)
        except _NotPlain:
            pass
    value = decoded(text)
    try:
        return value, canonical_text(value)
    except (TypeError, ValueError):
        # Such as a float: no event of ours looks like that.
        return value, None


def decoded(text: str | None) -> Any:
    """The value of a jsonb in the server's text."""
    return None if text is None else _decode(text)[0]


def canonical_string(value: str | None) -> str:
    """As `canonical_text`, of a string or null."""
    return "null" if value is None else encode_basestring(value)


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
