"""Old versions of events are read as the newest, newer ones are refused, and nothing is rewritten.

No event has a second version yet, so these tests make one up: what was written as
`AgentRegistered` version 1 with a `user` is read by a program whose version 3 has an `owner` and a
`channel`.
"""

from dataclasses import replace
from typing import Any, ClassVar, cast

import pytest

from ledger.aggregates.agent import AGENT, AgentRevoked, AgentState
from ledger.aggregates.aggregate import AggregateType, Event, Payload, UnknownEvent, Upcaster
from ledger.aggregates.names import LOADED
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.resource import RESOURCE, ResourceChangeStarted, ResourceCreated
from ledger.database import Database
from ledger.read import environments as resource_history
from ledger.read.environments import resources_at
from ledger.read.show import show
from tests.ledger.conftest import Clone
from tests.ledger.writing import BOT, register, resource_begun, resource_made, revoke, write


def owner_for_user(payload: Payload) -> Payload:
    """1 -> 2: who lets the agent ask is its owner."""
    kept = {name: value for name, value in payload.items() if name != "user"}
    return {**kept, "owner": payload["user"]}


def with_channel(payload: Payload) -> Payload:
    """2 -> 3: before there was a choice, all was asked by the command line."""
    return {**payload, "channel": "command line"}


def later_agent() -> AggregateType:
    """The aggregate type as a later program would have it."""

    class AgentRegistered(Event):
        agent_id: str
        owner: str
        channel: str

        upcasters: ClassVar[tuple[Upcaster, ...]] = (owner_for_user, with_channel)

    def evolve(state: AgentState | None, event: Event) -> AgentState:
        if isinstance(event, AgentRegistered):
            return AgentState(agent_id=event.agent_id, user=event.owner, state="active")
        return cast(AgentState, AGENT.evolve(state, event))

    return replace(AGENT, events=(AgentRegistered, AgentRevoked), evolve=evolve)


def test_a_version_is_one_more_than_the_upcasters_that_lead_to_it() -> None:
    """So a version without an upcaster from the one before it can't be written down."""
    assert [event.schema_version for event in later_agent().events] == [3, 1]

    class Released(Event):
        upcasters: ClassVar[tuple[Upcaster, ...]] = (dict,)

    class Expired(Released):
        pass

    class Voided(Released):
        upcasters: ClassVar[tuple[Upcaster, ...]] = (*Released.upcasters, dict)

    assert (Released.schema_version, Expired.schema_version, Voided.schema_version) == (2, 2, 3)


NEWEST = {"agent_id": "bot", "owner": "u-17", "channel": "command line"}


def test_every_version_is_read_as_the_newest() -> None:
    first, second = {"agent_id": "bot", "user": "u-17"}, {"agent_id": "bot", "owner": "u-17"}
    for version, payload in enumerate((first, second, NEWEST), 1):
        before = dict(payload)
        event = later_agent().event("AgentRegistered", version, payload)
        assert event.as_json() == NEWEST
        assert payload == before


NEWER = "AgentRegistered version 4 .* newest is version 3: .* upgrade before"
UNKNOWN = "AgentPromoted version 1 is not an event of aggregate type agent .* upgrade before"


@pytest.mark.parametrize(
    ("name", "version", "match"),
    [
        ("AgentRegistered", 4, NEWER),
        ("AgentPromoted", 1, UNKNOWN),
        ("AgentRegistered", 0, None),
        ("AgentRegistered", -1, None),
    ],
)
def test_another_version_or_type_is_refused_with_what_is_known_and_what_to_do(
    name: str, version: int, match: str | None
) -> None:
    with pytest.raises(UnknownEvent, match=match):
        later_agent().event(name, version, {"agent_id": "bot", "user": "u-17"})


@pytest.mark.parametrize("payload", [{}, [], None, 7, {"owner": "u-17"}])
def test_a_payload_that_an_upcaster_cant_read_is_a_wrong_value(payload: Any) -> None:
    """And so a finding of `verify`, as in the newest version, and not its end."""
    with pytest.raises(ValueError, match="AgentRegistered"):
        later_agent().event("AgentRegistered", 1, payload)


async def test_what_was_stored_before_is_shown_and_verified_and_stays(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(database)
    stored = "SELECT schema_version, payload, hash FROM ledger.event_log ORDER BY position"
    before = await clone.fetch(stored)
    later = later_agent()
    monkeypatch.setitem(AGGREGATE_TYPES, "agent", later)
    monkeypatch.setitem(LOADED, "agent", later)
    assert (await show(database, BOT)).state["user"] == "u-17"
    assert (await clone.verify()).findings == []
    # The later program goes on where the earlier one stopped.
    newest = {"agent_id": "expense-bot", "owner": "u-18", "channel": "web"}
    await write(database, BOT, later.event("AgentRegistered", 3, newest))
    await revoke(database)
    shown = await show(database, BOT)
    assert shown.state == {"agent_id": "expense-bot", "user": "u-18", "state": "revoked"}
    assert (await clone.verify()).findings == []
    after = await clone.fetch(stored)
    assert after[:1] == before
    assert [version for version, *_ in after] == [1, 3, 1]


async def test_a_rollback_reads_old_versions_too(
    ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resource_begun(kind="postgres.role")
    await write(ledger, "resource/dev/db", first, resource_made("postgres.role", login=True))

    def without_login(payload: Payload) -> Payload:
        return {**payload, "spec": {}}

    later = type("ResourceCreated", (ResourceCreated,), {"upcasters": (without_login,)})
    aggregate_type = replace(RESOURCE, events=(ResourceChangeStarted, later))
    monkeypatch.setattr(resource_history, "RESOURCE", aggregate_type)
    await write(ledger, "resource/dev/db", first)
    [past] = (await resources_at(ledger, "dev", "2")).past
    assert past.was is not None
    assert past.was.spec == {}
