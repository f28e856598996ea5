"""Checks Ed25519 signatures. The library is imported with the first one that is checked."""


def is_signed(public_key: str, value: str, message: bytes) -> bool:
    """Whether `value` (128 hexadecimal digits) is the signature of this message by this key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(value), message)
    except (InvalidSignature, ValueError):
        return False
    return True
