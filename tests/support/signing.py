"""Keys of tests, and requests signed with them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.aggregates.aggregate import Event
from ledger.aggregates.key import KeyRegistered, KeyRevoked, key_name
from ledger.database import Database
from ledger.store.commit import Author, Decision, Ref, commit, database_time
from starter.client.keys import Key
from tests.support.driver import new_id, payment, saga_of

Json = dict[str, Any]
SIGNATURE = "signature"
ANA, BOB = "user:ana", "user:bob"


@dataclass(frozen=True)
class Bot:
    """An agent and its key."""

    agent: str
    key: Key

    def asks(self, pesos: int, **more: Any) -> Json:
        request = payment(self.agent, pesos, **more)
        return self.key.signed(saga_of(request), "submit", request)


def new_key() -> Key:
    return Key.of(Ed25519PrivateKey.generate())


async def registered(  # noqa: PLR0913 - each is a part of a key
    database: Database,
    holder: str,
    *,
    since_s: int = -60,
    until_s: int | None = None,
    revoked: bool = False,
    revoked_s: int = 0,
    key: Key | None = None,
    trusted: bool = True,
) -> Key:
    """A key on record, as a saga would have registered it a minute ago."""
    key, now = key or new_key(), await database_time(database)
    until = None if until_s is None else now + timedelta(seconds=until_s)
    events: list[Event] = [
        KeyRegistered(
            key_id=key.id,
            holder=holder,
            public_key=key.public_key,
            valid_from=now + timedelta(seconds=since_s),
            valid_until=until,
            signed_by=key.id if trusted else None,
        )
    ]
    if revoked:
        events.append(KeyRevoked(revoked_at=now + timedelta(seconds=revoked_s)))
    name = key_name(key.id)
    for event in events:
        await _write(database, name, event)
    return key


async def _write(database: Database, aggregate: str, event: Event) -> None:
    told = Decision(None, [(aggregate, event)])
    await commit(database, Author("user:u-17"), [Ref(aggregate)], lambda _: told)


def key_registration(key: Key, holder: str = "user:u-17") -> Json:
    """Register a key of user:u-17, or of an agent of theirs."""
    request = {"action": "register", "holder": holder, "public_key": key.public_key}
    return {"operation_id": new_id("key"), "actor": "user:u-17", **request}


def signed(key: Key, request: Json, verb: str, document: Json) -> Json:
    """A request, or the argument of an update of its saga, with the signature of this key."""
    return key.signed(saga_of(request), verb, document)


def unsigned(document: Json) -> Json:
    return {name: value for name, value in document.items() if name != SIGNATURE}


def by(key: Key, request: Json, verb: str, **told: str) -> Json:
    """The signed argument of an update."""
    return key.signed(saga_of(request), verb, {"actor": ANA, **told})


async def forgeries_of(
    key: Key, request: Json, verb: str, ledger: Database, **told: str
) -> dict[str, Json]:
    """Arguments of an update that is not that of ana."""
    right = by(key, request, verb, **told)
    other = {**request, "operation_id": new_id("other")}
    others = await registered(ledger, BOB)
    revoked = await registered(ledger, ANA, revoked=True)
    return {
        "unsigned": unsigned(right),
        "by another": by(others, request, verb, **told),
        "by a revoked key": by(revoked, request, verb, **told),
        "of another saga": {**right, SIGNATURE: by(key, other, verb, **told)[SIGNATURE]},
        "of another verb": {**right, SIGNATURE: by(key, request, "extend", **told)[SIGNATURE]},
        "altered": {**right, "reason": "altered"},
        "of another actor": {**right, "actor": BOB},
    }
