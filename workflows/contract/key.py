"""The request and the result of `KeySaga`."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, model_validator

from ledger.store.signed_form import key_id
from workflows.contract.fields import (
    Actor,
    FirstDefaults,
    Line,
    Metadata,
    OperationId,
    Result,
    Signable,
    User,
)

KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
PublicKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class KeyRequest(Signable):
    """Input of `KeySaga`: register the `public_key` (Ed25519, 64 hexadecimal digits) of `holder`,
    or revoke the key named `key`. A holder may have several at once."""

    first_defaults: ClassVar[FirstDefaults] = {
        "operation_id": None,
        "public_key": None,
        "key": None,
        "valid_from": None,
        "valid_until": None,
        "reason": None,
    }

    operation_id: OperationId | None = None
    action: Literal["register", "revoke"]
    holder: Actor
    public_key: PublicKey | None = None
    key: KeyId | None = None
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    actor: User
    reason: Line | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_its_key(self) -> "KeyRequest":
        if self.action == "register" and self.public_key is None:
            raise ValueError("public_key is needed to register a key")
        if self.action == "revoke" and self.key is None:
            raise ValueError("key is needed to revoke one")
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            raise ValueError("valid_until must be after valid_from")
        return self

    @property
    def key_id(self) -> str:
        """The id of the key that it is about."""
        return key_id(self.public_key) if self.public_key else self.key or ""

    def about(self) -> list[str]:
        """What is asked for, for people."""
        return [f"{self.action} key {self.key_id} of {self.holder}"]


class KeyResult(Result):
    """Result of `KeySaga`: `key` is the id of the key, by which signatures name it."""

    state: Literal["registered", "revoked"]
    key: str
