"""What differs between two points, and who last changed each field: read from the events alone."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from ledger.aggregates import resource
from ledger.aggregates.aggregate import AggregateType, Event, State
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.database import Database
from ledger.errors import NotFound, StateRefused
from ledger.read.diff_and_blame import Blame, blame, diff, leaves_of
from ledger.read.log import Wanted, log
from ledger.read.point_in_time import Point
from ledger.sagas.saga_log import open_saga
from ledger.store.commit import Author, Decision, Ref, commit
from tests.ledger.test_fold import draw, histories, jsons, name_of, named
from tests.ledger.writing import (
    BOT,
    compensate,
    open_payment,
    opening,
    register,
    resource_begun,
    revoke,
    write,
)

DB = "resource/dev/shop-db"
RUN = {"workflow_id": "payment/rent", "run_id": "run-1", "activity": "apply_resource"}


async def change(ledger: Database, *events: Event, saga_id: str = "payment/rent") -> None:
    author = Author("user:ana", saga_id, "apply shop-db", RUN)
    decision = Decision(None, [(DB, event) for event in events])
    await commit(ledger, author, [Ref(DB)], lambda _: decision)


def started(change: str = "change/1") -> Event:
    return resource_begun("shop-db", change=change)


def applied(event: type[resource.ResourceCreated | resource.ResourceUpdated], **spec: Any) -> Event:
    return event(change="change/1", kind="postgres.database", spec=spec, depends_on=[], outputs={})


@pytest.fixture
async def created(ledger: Database) -> Database:
    """A database that a saga made, altered and deleted: positions 2 to 7."""
    asked = opening("rent").model_copy(update={"input": {"reason": "the shop needs it"}})
    await open_saga(ledger, Author("user:ana"), asked)
    await change(ledger, started())
    await change(ledger, applied(resource.ResourceCreated, owner="app", limits={"connections": 5}))
    updated = applied(resource.ResourceUpdated, owner="app", limits={"connections": 9})
    await change(ledger, started(), updated)
    await change(ledger, started("change/2"))
    await change(ledger, resource.ResourceDeleted(change="change/2"))
    return ledger


def at(position: int) -> Point:
    return Point(position=position)


class TestDiff:
    async def test_tells_fields_old_and_new_and_the_events_between(self, created: Database) -> None:
        found = await diff(created, DB, at(3), at(5))
        assert [vars(each) for each in found.fields] == [
            {"field": "spec.limits.connections", "change": "changed", "old": 5, "new": 9}
        ]
        assert found.before is not None
        assert (found.before.version, found.after.version) == (2, 4)
        assert [each.event_type for each in found.events[1:]] == ["ResourceUpdated"]
        # They are those of the log.
        found = await diff(created, DB, at(0), at(7))
        logged = await log(created, Wanted(aggregate=DB), limit=10)
        assert found.events == [replace(event, token=None) for event in logged]

    async def test_tells_what_is_below_a_field_that_came_or_went_and_at_first_all_is_new(
        self, created: Database
    ) -> None:
        came = await diff(created, DB, at(2), at(5))
        added = {each.field: each.change for each in came.fields if "spec" in each.field}
        assert added == dict.fromkeys(("spec.owner", "spec.limits.connections"), "added")
        went = await diff(created, DB, at(5), at(7))
        assert {each.field: (each.change, each.old) for each in went.fields if each.old} == {
            "changed_by": ("changed", "change/1"),
            "spec.limits.connections": ("removed", 9),
            "spec.owner": ("removed", "app"),
            "state": ("changed", "present"),
        }
        first = await diff(created, DB, at(1), at(2))
        assert first.before is None
        assert {each.change for each in first.fields} == {"added"}
        assert [event.version for event in first.events] == [1]
        same = await diff(created, DB, at(5), at(5))
        assert (same.fields, same.events) == ([], [])

    async def test_in_the_wrong_order_or_before_both_points_is_refused(
        self, created: Database
    ) -> None:
        for before in (2, 5, 7):
            with pytest.raises(StateRefused, match="exchange them"):
                await diff(created, DB, at(before), at(before - 1))
        with pytest.raises(NotFound, match="did not exist at 1"):
            await diff(created, DB, at(0), at(1))


def short(found: list[Blame]) -> dict[str, tuple[Any, int]]:
    return {each.field: ("gone" if each.removed else each.value, each.version) for each in found}


class TestBlame:
    async def test_names_the_event_that_last_changed_each_field_and_who_by_which_run_and_why(
        self, created: Database
    ) -> None:
        assert short(await blame(created, DB)) == {
            "changed_by": ("change/2", 6),
            "claimed_by": (None, 6),
            "depends_on": ([], 1),
            "environment": ("dev", 1),
            "kind": ("postgres.database", 1),
            "name": ("shop-db", 1),
            "outputs": ({}, 1),
            "spec": (None, 6),
            "spec.limits.connections": ("gone", 6),
            "spec.owner": ("gone", 6),
            "state": ("absent", 6),
        }
        [found] = await blame(created, DB, "changed_by")
        assert vars(found) == {
            "timestamp": found.timestamp,
            "field": "changed_by",
            "value": "change/2",
            "removed": False,
            "position": 7,
            "version": 6,
            "event_type": "ResourceDeleted",
            "user_id": "user:ana",
            "saga_id": "payment/rent",
            "step": "apply shop-db",
            "workflow_id": "payment/rent",
            "run_id": "run-1",
            "reason": "the shop needs it",
        }

    async def test_gives_the_reason_of_the_event_itself_first_and_none_where_there_is_none(
        self, created: Database
    ) -> None:
        await change(created, started("change/3"))
        await change(created, resource.ResourceChangeDropped(change="change/3", reason="refused"))
        [found] = await blame(created, DB, "claimed_by")
        assert (found.value, found.reason) == (None, "refused")
        await register(created)
        [found] = await blame(created, BOT, "user")
        assert (found.reason, found.saga_id, found.run_id) == (None, None, None)
        await revoke(created, reason="left")
        [found] = await blame(created, BOT, "state")
        assert (found.event_type, found.reason) == ("AgentRevoked", "left")

    async def test_of_a_field_names_those_below_it(self, created: Database) -> None:
        assert short(await blame(created, DB, "spec.limits")) == {
            "spec.limits.connections": ("gone", 6)
        }
        await change(created, started(), applied(resource.ResourceCreated, owner="app"))
        # What has fields below it again is no field of its own.
        assert short(await blame(created, DB, "spec")) == {
            "spec.limits.connections": ("gone", 6),
            "spec.owner": ("app", 8),
        }

    async def test_of_what_never_was_is_not_found(self, created: Database) -> None:
        with pytest.raises(NotFound, match="never had a field 'own': its fields are changed_by"):
            await blame(created, DB, "own")
        with pytest.raises(NotFound, match="no aggregate named 'agent/nobody' in the ledger"):
            await blame(created, "agent/nobody")
        with pytest.raises(NotFound, match="is not an aggregate name"):
            await blame(created, "invoice/1")


class Any_(State):
    value: Any


@given(one=jsons, other=jsons)
def test_different_values_have_different_leaves(one: Any, other: Any) -> None:
    assert (leaves_of(Any_(value=one)) == leaves_of(Any_(value=other))) == (one == other)


def test_a_name_that_could_be_a_path_stands_in_quotes() -> None:
    leaves = leaves_of(Any_(value={"a.b": 1, "a": {"b": 2}, "": 3, 'say "x"': 4}))
    assert leaves == {'value."a.b"': 1, "value.a.b": 2, 'value.""': 3, 'value."say \\"x\\""': 4}


@pytest.mark.parametrize("aggregate_type", AGGREGATE_TYPES.values(), ids=AGGREGATE_TYPES)
async def test_the_blamed_event_is_the_last_after_which_the_field_was_another(
    ledger: Database, aggregate_type: AggregateType
) -> None:
    drawn = draw(histories(aggregate_type), 8)
    await open_payment(ledger)
    for number, history in enumerate(drawn):
        aggregate = name_of(aggregate_type, number)
        history = named(aggregate_type, number, history)
        await write(ledger, aggregate, *history)
        found = {each.field: each for each in await blame(ledger, aggregate)}
        states = [{}, *(leaves_of(state) for state in _states(aggregate_type, history))]
        for field, value in states[-1].items():
            changed = [
                version
                for version in range(1, len(states))
                if states[version].get(field, ...) != states[version - 1].get(field, ...)
            ]
            assert (found[field].version, found[field].value) == (changed[-1], value)
        assert {name for name, each in found.items() if not each.removed} == states[-1].keys()
    # Some of the steps are undone.
    await compensate(ledger)


def _states(aggregate_type: AggregateType, history: list[Event]) -> list[State]:
    states: list[State] = []
    for event in history:
        states.append(aggregate_type.evolve(states[-1] if states else None, event))
    return states
