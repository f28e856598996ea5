"""The bytes that a client signs: docs/signatures.md.

What is signed names its saga and its verb beside the whole document, so the signature of one
request is none of another operation id, of another kind of saga, or of an update.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from ledger.store.canonical_json import MAX_SAFE_INTEGER, canonical

Json = Mapping[str, Any]

# Which form is signed: another one, should it ever be needed, has another name.
FORM = "amends-1"
# The verb of a request; an update has its own name.
SUBMIT = "submit"
# The field of a request, and of the argument of an update.
FIELD = "signature"
# A name of 128 bits, so that nobody finds a second key for it.
_KEY_ID_DIGITS = 32


def signed_bytes(saga_id: str, verb: str, document: Json) -> bytes:
    """The bytes to sign: RFC 8785 of the form, the saga, the verb, and the document without its
    signature.

    Raises ValueError for a document without exact bytes: with a float, an integer beyond 2^53, or
    half of a surrogate pair.
    """
    says = {name: value for name, value in document.items() if name != FIELD}
    if not _is_exact(says):
        raise ValueError("a float, or an integer beyond 2^53, has no exact bytes: use a string")
    return canonical({"form": FORM, "saga": saga_id, "verb": verb, "says": says})


def key_id(public_key: str) -> str:
    """The name of a public key (64 hexadecimal digits): the first 32 digits of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:_KEY_ID_DIGITS]


def _is_exact(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_exact, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_exact, value))
    if isinstance(value, int):
        return abs(value) <= MAX_SAFE_INTEGER
    return value is None or isinstance(value, str)
