"""Derives what BIND knows a transfer by: an origin id of at most 15 characters, and a longer mark.

The origin id is 15 characters of Crockford's alphabet, the first 75 bits of the SHA-256 digest of
the key. Among n transfers of one account, two keys share an origin id with a probability of less
than n * n / 2**76: one in 7 * 10**8 for ten million transfers, one in 7 * 10**4 for a thousand
million. That bound is small and not zero. Of two keys that share an origin id, the second transfer
is not made, and is told apart by its amount or destination, by the warning of BIND that the first
order of a key was not the first (`known_before`), and, where BIND repeats the description, by the
mark at its end: the next 100 bits of the digest.
"""

from hashlib import sha256

from activities.adapters.payment import NotTheSameTransfer

# No I, L, O, U: people read it aloud (Crockford's alphabet). Capitals alone, since a system on
# the way may not tell small letters from capitals.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ORIGIN_ID_LENGTH, MARK_LENGTH = 15, 20
BITS = 5
# The description of a BIND transfer.
MAX_DESCRIPTION = 100
MARKS = "#"


def origin_id_of(key: str) -> str:
    """The origin id of a key: 15 characters, always the same."""
    return _characters(key)[:ORIGIN_ID_LENGTH]


def mark_of(key: str) -> str:
    """The mark of a key: `#` and 20 characters of which the origin id has none."""
    return MARKS + _characters(key)[ORIGIN_ID_LENGTH : ORIGIN_ID_LENGTH + MARK_LENGTH]


def description_of(key: str, text: str) -> str:
    """The description of a transfer, with the mark at its end; cut to what BIND takes."""
    mark = mark_of(key)
    return f"{text[: MAX_DESCRIPTION - len(mark) - 1]} {mark}".strip()


def check_mark(key: str, description: str | None) -> None:
    """Checks the mark of a transfer that BIND reports. A description without one, which the bank
    may have shortened, says nothing. Raises NotTheSameTransfer for the mark of another key."""
    _, found, mark = (description or "").rpartition(MARKS)
    if (
        found
        and len(mark) == MARK_LENGTH
        and set(mark) <= set(ALPHABET)
        and mark_of(key)[1:] != mark
    ):
        raise NotTheSameTransfer("BIND has the transfer of another key under our origin id")


def _characters(key: str) -> str:
    number = int.from_bytes(sha256(f"amends:bind:{key}".encode()).digest())
    return "".join(ALPHABET[number >> shift & 31] for shift in range(256 - BITS, 0, -BITS))
