"""The end-to-end id of a transfer: what a bank hands on unchanged to its statement."""

import re
from hashlib import sha256

# Max35Text of ISO 20022.
MAX_END_TO_END_ID = 35
_MARK = "AM-"
# The characters of every scheme; a slash neither begins nor ends it, nor follows another.
_FITS = re.compile(r"(?!/)(?!.*//)[A-Za-z0-9/?:().,'+-]{1,35}(?<!/)")


def end_to_end_id(known_as: str) -> str:
    """The id that a transfer is sent with, from what the provider knows it by: the same text where
    it fits, else 128 bits of its SHA-256, so two transfers never share one."""
    if _FITS.fullmatch(known_as):
        return known_as
    digest = sha256(known_as.encode()).hexdigest()
    return _MARK + digest[: MAX_END_TO_END_ID - len(_MARK)]
