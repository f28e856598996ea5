"""The key of a client: a file with an Ed25519 private key, and what is signed with it.

Files are PKCS #8 in PEM, as `openssl genpkey -algorithm ED25519` writes them, for their owner
alone.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.store.signed_form import FIELD, key_id, signed_bytes
from starter.client.errors import InvalidInput, WrongSetting

Json = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """A private key, and the public one (64 hexadecimal digits), which the ledger has."""

    public_key: str
    _private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> Self:
        """The key with this private part."""
        return cls(private.public_key().public_bytes_raw().hex(), private)

    @property
    def id(self) -> str:
        """The id by which signatures name the key."""
        return key_id(self.public_key)

    def signed(
        self, saga_id: str, verb: str, document: Mapping[str, Any], ledger: str | None = None
    ) -> Json:
        """The document with its signature, for the ledger of this name, where it has one; a
        document that has a signature stays as it is.

        Raises InvalidInput for a document that has no exact bytes.
        """
        if document.get(FIELD):
            return dict(document)
        try:
            message = signed_bytes(saga_id, verb, document, ledger)
        except ValueError as error:
            raise InvalidInput("input", str(error)) from None
        value = self._private.sign(message).hex()
        signature = {"key": self.id, "value": value}
        return {**document, FIELD: {**signature, "ledger": ledger} if ledger else signature}


def make_key(file: Path) -> Key:
    """Make a key, and write the private one to a new file that its owner alone reads.

    Raises WrongSetting for a file that exists or can't be written.
    """
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(text)
    except OSError as error:
        raise WrongSetting(f"{file} can't be written ({error.strerror})") from None
    return Key.of(private)


def read_key(file: Path) -> Key:
    """Read the private key in a file. Raises WrongSetting, also for a file that others may read."""
    try:
        with file.open("rb") as stream:
            mode, text = os.fstat(stream.fileno()).st_mode, stream.read()
    except OSError as error:
        raise WrongSetting(f"the key {file} can't be read ({error.strerror})") from None
    if stat.S_IMODE(mode) & 0o077:
        raise WrongSetting(f"the key {file} may be read by others: chmod 600 {file}")
    try:
        private = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise WrongSetting(f"{file} is no private key (Ed25519, PEM): amends keys make writes one")
    return Key.of(private)
