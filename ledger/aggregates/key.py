"""The aggregate type `key`: a public key of an agent or a person, with its validity.

A holder may have several keys at once, so that one takes the place of another without a pause. The
name of a key is made of the public key, so nobody registers the key of another under their own
name, and no name means two keys.
"""

from datetime import datetime
from typing import ClassVar, Literal

from ledger.aggregates.aggregate import AggregateType, Event, State, UnknownEvent, Upcaster
from ledger.aggregates.columns import Column, state_columns


class KeyRegistered(Event):
    """A public key (Ed25519, 64 hexadecimal digits) was registered for its holder (`user:…`,
    `agent:…`). It signs from `valid_from` until before `valid_until`.

    `signed_by` is the id of the key that signed the registration, and was registered so itself or
    is an officer's; None for a key that development took unsigned, which production does not.
    """

    upcasters: ClassVar[tuple[Upcaster, ...]] = (lambda old: {**old, "signed_by": None},)

    key_id: str
    holder: str
    public_key: str
    valid_from: datetime
    valid_until: datetime | None = None
    signed_by: str | None = None


class KeyRevoked(Event):
    """A key was revoked: what it signs from this moment on is refused."""

    revoked_at: datetime
    reason: str | None = None


class KeyState(State):
    """The state of a key, as a row of `ledger.keys`."""

    key_id: str
    holder: str
    public_key: str
    state: Literal["active", "revoked"]
    valid_from: datetime
    valid_until: datetime | None = None
    revoked_at: datetime | None = None
    reason: str | None = None
    signed_by: str | None = None


def evolve(state: KeyState | None, event: Event) -> KeyState:
    """Folds one event into the state of a key. Raises UnknownEvent."""
    match state, event:
        case None, KeyRegistered():
            return KeyState(state="active", **event.fields())
        case KeyState(), KeyRevoked():
            return state.changed(state="revoked", **event.fields())
        case _:
            raise UnknownEvent(
                f"{type(event).__name__} does not fit the state of the key: run amends verify"
            )


KEY = AggregateType(
    name="key",
    columns=state_columns(
        "keys",
        Column("key_id", "text", nullable=False),
        Column("holder", "text", nullable=False),
        Column("public_key", "text", nullable=False),
        Column("state", "text", nullable=False),
        Column("valid_from", "timestamptz", nullable=False),
        Column("valid_until", "timestamptz"),
        Column("revoked_at", "timestamptz"),
        Column("reason", "text"),
        Column("signed_by", "text"),
    ),
    state=KeyState,
    events=(KeyRegistered, KeyRevoked),
    evolve=evolve,
)


def key_name(key_id: str) -> str:
    """The aggregate name of a key: `key/21fe31dfa154a261626bf854046fd227`."""
    return f"key/{key_id}"
