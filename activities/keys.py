"""Activities on the keys by which agents and people sign: who may register whose, and revoke it."""

from datetime import datetime
from typing import Any, Literal

from temporalio import activity

from activities.asked import require_asked
from activities.step import Claim, Request
from ledger.aggregates.agent import AgentState, agent_name
from ledger.aggregates.key import KeyRegistered, KeyRevoked, KeyState, key_name
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.read.sagas import signed_by
from ledger.sagas.signatures import is_trusted
from ledger.sagas.step_log import commit_step
from ledger.store.commit import Decision, Loaded, Ref

Json = dict[str, Any]
AGENT = "agent:"


class ChangeKey(Request):
    """Request to register a public key for its holder, or to revoke it."""

    action: Literal["register", "revoke"]
    key_id: str
    holder: str
    public_key: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    reason: str | None = None


class KeyActivities:
    """Activities on keys, which write only to our database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def change_key(self, claim: Claim, request: ChangeKey) -> None:
        """Registers or revokes a key. Whoever asks does that for themselves, for an agent of
        theirs, or as an officer (docs/decisions/038); another one is refused."""
        name = key_name(request.key_id)
        refs, agent_ref = [Ref(name)], None
        if request.holder.startswith(AGENT):
            agent_ref = agent_name(request.holder.removeprefix(AGENT))
            refs.append(Ref(agent_ref, "share"))
        by = await key_behind(self._database, claim)
        if by is not None:
            refs.append(Ref(key_name(by), "share"))

        def change(loaded: Loaded) -> Decision[Json]:
            require_asked(loaded, claim, self._database.signing, "key", _told(request))
            key: KeyState | None = loaded[name]
            agent: AgentState | None = loaded[agent_ref] if agent_ref else None
            if not self._may(request, claim.actor, by, agent):
                raise StateRefused(
                    "a key is registered and revoked by its holder, by the user of the agent that "
                    "holds it, or by an officer (AMENDS_KEY_OFFICERS)",
                    "not_holder",
                )
            if request.action == "register":
                signed_by = by if self._is_trusted(by, loaded) else None
                event = _registered(request, key, loaded.now, signed_by)
                return Decision({}, [(name, event)])
            if key is None or key.holder != request.holder:
                raise StateRefused(
                    f"no key named {request.key_id} of {request.holder} is registered",
                    "unknown_key",
                )
            revoked = KeyRevoked(revoked_at=loaded.now, reason=request.reason)
            return Decision({}, [(name, revoked)] if key.state == "active" else [])

        step = claim.step_claim(request)
        await commit_step(self._database, claim.author(), step, refs, change)

    def _is_trusted(self, by: str | None, loaded: Loaded) -> bool:
        signing = self._database.signing
        return by in signing.officers or is_trusted(loaded[key_name(by)] if by else None, signing)

    def _may(
        self, request: ChangeKey, actor: str, by: str | None, agent: AgentState | None
    ) -> bool:
        signing = self._database.signing
        if by in signing.officers or actor == request.holder:
            return True
        if agent is not None and agent.user == actor:
            return True
        # In development a name is anybody's.
        return by is None and not signing.required


async def key_behind(database: Database, claim: Claim) -> str | None:
    """The key that signed the request: the commit checks it, or the one that opened the saga has.
    What a later run brings as a signature of the same request is checked by nobody."""
    if claim.opening is None:
        return await signed_by(database, claim.saga_id)
    return claim.opening.signed.key if claim.opening.signed else None


def _told(request: ChangeKey) -> Json:
    """What the request of the saga says of the same change."""
    told = request.model_dump(mode="json")
    named = told.pop("key_id")
    return told if request.public_key is not None else {**told, "key": named}


def _registered(
    request: ChangeKey, key: KeyState | None, now: datetime, signed_by: str | None
) -> KeyRegistered:
    if key is not None:
        raise StateRefused(f"key {request.key_id} is registered already", "key_exists")
    if request.valid_until is not None and request.valid_until <= now:
        raise StateRefused("the validity of the key is over: see valid_until", "key_expired")
    return KeyRegistered(
        key_id=request.key_id,
        holder=request.holder,
        public_key=request.public_key or "",
        # Nothing that was signed before the key was known.
        valid_from=max(request.valid_from or now, now),
        valid_until=request.valid_until,
        signed_by=signed_by,
    )
