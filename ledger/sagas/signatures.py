"""Checks who asks: the signature of a request or a decision, by the key that is valid now.

The check runs in the commit that takes the request or the decision, with the row of the key held:
a revocation comes before it or after it.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ledger.aggregates.key import KeyState, key_name
from ledger.errors import NotSigned
from ledger.signing import Signing
from ledger.store.commit import Loaded, Ref
from ledger.store.ed25519 import is_signed
from ledger.store.signed_form import key_id, signed_bytes

Json = dict[str, Any]
Problem = Literal["missing_signature", "invalid_signature"]
# The kind of the sagas on keys, and what registers one.
KEY_KIND = "key"

WORDS: dict[Problem, str] = {
    "missing_signature": "this is production, and what is asked for is not signed: sign it with "
    "the key of its actor (AMENDS_KEY_FILE, --key)",
    "invalid_signature": "the signature is not by a valid key of the actor over this request under "
    "this operation id, for this ledger (AMENDS_LEDGER_NAME): sign it again, and see amends keys "
    "list",
}


class Signed(BaseModel):
    """A signature and what it is over: `says` is the document as it was received, without its
    signature; `key` is the id of the key, `ledger` the name of the ledger that it is for, where
    that has one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    saga_id: str
    verb: str
    says: Json
    key: str
    value: str
    # Left out where there is none: a worker of an earlier version does not know the field.
    ledger: str | None = Field(default=None, exclude_if=lambda ledger: ledger is None)

    def recorded(self) -> Json:
        """The signature as it stands in an event of its saga."""
        told = {"key": self.key, "value": self.value, "says": self.says}
        return told if self.ledger is None else {**told, "ledger": self.ledger}

    def refs(self) -> list[Ref]:
        """What the check needs to be loaded."""
        return [Ref(key_name(self.key), "share")]


def problem_of(
    signed: Signed | None,
    actor: str,
    saga_id: str,
    loaded: Loaded,
    signing: Signing,
    *,
    late: timedelta = timedelta(),
) -> Problem | None:
    """Why what `actor` asks of the saga is not taken; None where it is signed well, or need not
    be. `late`: the key may have been valid so long ago."""
    if signed is None:
        return "missing_signature" if signing.required else None
    if signed.saga_id != saga_id or signed.ledger != signing.ledger:
        return "invalid_signature"
    key = key_of(signed, loaded, signing)
    if key is None or key.holder != actor or not _is_valid(key, loaded.now, late):
        return "invalid_signature"
    if signing.required and not is_trusted(key, signing):
        return "invalid_signature"
    try:
        message = signed_bytes(signed.saga_id, signed.verb, signed.says, signed.ledger)
    except ValueError:
        return "invalid_signature"
    return None if is_signed(key.public_key, signed.value, message) else "invalid_signature"


def require_signed(
    signed: Signed | None,
    actor: str,
    saga_id: str,
    loaded: Loaded,
    signing: Signing,
    *,
    late: timedelta = timedelta(),
) -> None:
    """Raises NotSigned; see `problem_of`."""
    if problem := problem_of(signed, actor, saga_id, loaded, signing, late=late):
        raise NotSigned(f"{problem}: {WORDS[problem]}", problem)


def key_of(signed: Signed, loaded: Loaded, signing: Signing) -> KeyState | None:
    """The key that signed; an officer's key may be the one that its own request registers."""
    key: KeyState | None = loaded[key_name(signed.key)]
    if key is not None or signed.key not in signing.officers:
        return key
    public_key = str(signed.says.get("public_key"))
    if not signed.saga_id.startswith(f"{KEY_KIND}/") or not _is_key(public_key, signed.key):
        return None
    return KeyState(
        key_id=signed.key,
        holder=str(signed.says.get("holder")),
        public_key=public_key,
        state="active",
        valid_from=loaded.now,
        signed_by=signed.key,
    )


def is_trusted(key: KeyState | None, signing: Signing) -> bool:
    """Whether production takes the key: its registration was signed, or it is an officer's."""
    return key is not None and (key.signed_by is not None or key.key_id in signing.officers)


def _is_key(public_key: str, of_id: str) -> bool:
    try:
        return key_id(public_key) == of_id
    except ValueError:
        return False


def _is_valid(key: KeyState, now: datetime, late: timedelta) -> bool:
    ends = [at for at in (key.valid_until, key.revoked_at) if at is not None]
    return key.valid_from <= now and all(now - late < at for at in ends)
