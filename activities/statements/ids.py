"""The end-to-end id of a transfer: what a bank hands on unchanged to its statement."""

from hashlib import sha256

# Max35Text of ISO 20022, in the characters of every scheme.
MAX_END_TO_END_ID = 35
_MARK = "AM-"


def end_to_end_id(key: str) -> str:
    """The id that a transfer is sent with, from its key, which may be too long or hold characters
    that a bank replaces: 128 bits of its SHA-256, so two keys never share one."""
    digest = sha256(key.encode()).hexdigest()
    return _MARK + digest[: MAX_END_TO_END_ID - len(_MARK)]
