"""The bytes that a client signs: docs/signatures.md.

What is signed names its saga and its verb beside the whole document, so the signature of one
request is none of another operation id, of another kind of saga, or of an update.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from ledger.store.canonical_json import MAX_SAFE_INTEGER, canonical

Json = Mapping[str, Any]

# Which form is signed: the second one names the ledger that it is for.
FORM, FORM_FOR_A_LEDGER = "amends-1", "amends-2"
# The verb of a request; an update has its own name.
SUBMIT = "submit"
# The field of a request, and of the argument of an update.
FIELD = "signature"
# A name of 128 bits, so that nobody finds a second key for it.
_KEY_ID_DIGITS = 32


def signed_bytes(saga_id: str, verb: str, document: Json, ledger: str | None = None) -> bytes:
    """The bytes to sign: RFC 8785 of the form, the saga, the verb, and the document without its
    signature; and of the `ledger` that it is for, where that has a name.

    Raises ValueError for a document without exact bytes: with a float, an integer beyond 2^53, or
    half of a surrogate pair.
    """
    says = {name: value for name, value in document.items() if name != FIELD}
    if not _is_exact(says):
        raise ValueError("a float, or an integer beyond 2^53, has no exact bytes: use a string")
    signed = {"form": FORM, "saga": saga_id, "verb": verb, "says": says}
    if ledger is not None:
        signed |= {"form": FORM_FOR_A_LEDGER, "ledger": ledger}
    return canonical(signed)


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
