"""Canonical JSON (RFC 8785), and the hashes made from it."""

import hashlib
import json
import re
from collections.abc import Iterable
from functools import cache
from json.encoder import encode_basestring
from typing import Annotated, Any

import msgspec
import rfc8785

from ledger.nesting import is_too_deep

# Beyond this an IEEE double, and so JSON in many languages, loses digits (RFC 8785, section 3.2.2).
MAX_SAFE_INTEGER = 2**53 - 1


def _plain(depth: int) -> Any:
    """The type of values that msgspec encodes as RFC 8785 does: no float, and no integer too
    big."""
    leaf: Any = Annotated[int, msgspec.Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)] | str | bool
    if depth == 0:
        return leaf | None
    below: Any = _plain(depth - 1)
    return leaf | list[below] | dict[str, below] | None


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    """Decodes plain values. Its types end somewhere; what is deeper takes the long way and has the
    same text. Made on first use: it takes as long as the import of a library."""
    return msgspec.json.Decoder(_plain(depth=6))


_encode_plain = msgspec.json.Encoder(order="deterministic").encode


class Inexact(float):
    """A number with a fraction or an exponent, as a text of JSON has it: no event of ours has one,
    and two texts may be one float. So it has no canonical bytes, and is the same as nothing."""


_decode = json.JSONDecoder(parse_float=Inexact).raw_decode
# An integer beyond 2^53 stays one.
as_it_is = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False).encode
# Below the surrogates the order of characters is the order of UTF-16 code units.
_beyond = re.compile("[\ud800-\U0010ffff]").search


def canonical(value: Any) -> bytes:
    """Encodes a JSON value as RFC 8785 bytes. Integers beyond 2^53 become strings.

    Raises TypeError for a float and ValueError for anything else that is not JSON in UTF-8.
    """
    if _are_plain((value,)):
        try:
            return _encode_plain(value)
        except UnicodeEncodeError:
            # Half of a surrogate pair. The library says so.
            pass
    return rfc8785.dumps(_exact(value))


def is_exact(value: Any) -> bool:
    """Whether a JSON value has canonical bytes: it holds no float."""
    try:
        canonical(value)
    except TypeError:
        return False
    return True


def canonical_text(value: Any) -> str:
    """As `canonical`, decoded to a text that goes on into another."""
    return canonical(value).decode()


def texts(value: Any) -> tuple[str, str]:
    """As `canonical_text`, and a JSON text of the value as it is: nearly always one text."""
    if _are_plain((value,)):
        try:
            return (text := _encode_plain(value).decode()), text
        except UnicodeEncodeError:
            pass
    return canonical_text(value), as_it_is(value)


def canonical_plain(value: Any) -> bytes:
    """As `canonical` and several times faster, for values that `read` reported as plain, or made of
    such."""
    return _encode_plain(value)


def read(text: str | None) -> tuple[Any, bool]:
    """Decodes a jsonb in the server's text, as `decoded` does, and reports whether the value is
    plain."""
    if text is None:
        return None, True
    # An escape could hide any character, in a key too.
    if "\\u" not in text and (text.isascii() or not _beyond(text)):
        try:
            return _decoder().decode(text), True
        except msgspec.ValidationError:
            pass
    return decoded(text), False


def decoded(text: str | None) -> Any:
    """Decodes a jsonb in the server's text; a number that is no integer is `Inexact`.

    Where Python has none, for an integer of thousands of digits, and of one that is nested too
    deep, the text itself: it equals no value of ours, and no model takes it.
    """
    if text is None:
        return None
    try:
        return _decoder().decode(text)
    except ValueError:
        pass
    try:
        return text if is_too_deep(text) else _decode(text)[0]
    except ValueError:
        return text


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are one, byte by byte. For `==` also 1 and true are, or 2 and 2.0.

    False for what is no JSON, and where one holds a number that is no integer.
    """
    try:
        return _bytes(one) == _bytes(other)
    except (TypeError, ValueError, RecursionError):
        return False


def _bytes(value: Any) -> bytes:
    try:
        return _encode_plain(value)
    except UnicodeEncodeError:
        # Half of a surrogate pair, which only Python writes.
        return json.dumps(value, sort_keys=True).encode()


def canonical_string(value: str | None) -> str:
    """As `canonical_text`, for a string or null."""
    return "null" if value is None else encode_basestring(value)


def digest(value: Any) -> str:
    """SHA-256 over `canonical(value)`, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _are_plain(values: Iterable[Any]) -> bool:
    """Whether msgspec, which is many times faster, gives the same bytes."""
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
    """Whether all keys are ASCII: beyond it the order by UTF-16 code units may differ from the
    order by characters."""
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
