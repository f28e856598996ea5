"""Checks who asks: the signature of a request or a decision, by the key that is valid now.

The check runs in the commit that takes the request or the decision, with the row of the key held:
a revocation comes before it or after it.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

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
    "this operation id: sign it again, and see amends keys list",
}


class Signed(BaseModel):
    """A signature and what it is over: `says` is the document as it was received, without its
    signature; `key` is the id of the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    saga_id: str
    verb: str
    says: Json
    key: str
    value: str

    def recorded(self) -> Json:
        """The signature as it stands in an event of its saga."""
        return {"key": self.key, "value": self.value, "says": self.says}

    def refs(self) -> list[Ref]:
        """What the check needs to be loaded."""
        return [Ref(key_name(self.key), "share")]


def problem_of(
    signed: Signed | None, actor: str, saga_id: str, loaded: Loaded, signing: Signing
) -> Problem | None:
    """Why what `actor` asks of the saga is not taken; None where it is signed well, or need not
    be."""
    if signed is None:
        return "missing_signature" if signing.required else None
    if signed.saga_id != saga_id:
        return "invalid_signature"
    key = key_of(signed, loaded, signing)
    if key is None or key.holder != actor or not _is_valid(key, loaded.now):
        return "invalid_signature"
    try:
        message = signed_bytes(signed.saga_id, signed.verb, signed.says)
    except ValueError:
        return "invalid_signature"
    return None if is_signed(key.public_key, signed.value, message) else "invalid_signature"


def require_signed(
    signed: Signed | None, actor: str, saga_id: str, loaded: Loaded, signing: Signing
) -> None:
    """Raises NotSigned."""
    if problem := problem_of(signed, actor, saga_id, loaded, signing):
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
    )


def _is_key(public_key: str, of_id: str) -> bool:
    try:
        return key_id(public_key) == of_id
    except ValueError:
        return False


def _is_valid(key: KeyState, now: datetime) -> bool:
    is_over = key.valid_until is not None and key.valid_until <= now
    return key.state == "active" and key.valid_from <= now and not is_over
