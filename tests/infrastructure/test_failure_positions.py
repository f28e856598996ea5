"""The worker dies at each point of each operation; then the attempt is repeated, or undone."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities import resources
from activities.errors import Failed
from activities.providers.postgres import PostgresProvider
from activities.resource_change import ApplyResource
from ledger.database import Database
from ledger.errors import Fenced, StateRefused
from ledger.sagas.saga_log import begin_compensation
from tests.infrastructure.activity_driver import AUTHOR, ActivityDriver, KillableProvider, Killed
from tests.infrastructure.driver import Target, database, role, schema, told
from tests.support.until import until
from worker.embedded.servers import EmbeddedServers

Prepare = Callable[[ActivityDriver, str], Awaitable[tuple[str, dict[str, Any]]]]


@pytest.fixture
def site(servers: EmbeddedServers, database: Database, ledger: Database) -> ActivityDriver:
    return ActivityDriver(database, KillableProvider(PostgresProvider(servers.target_url)))


async def create(site: ActivityDriver, prefix: str) -> tuple[str, dict[str, Any]]:
    await site.done(prefix + "a", prefix + "app", present=[role(prefix + "app")])
    return prefix + "db", {"present": [database(prefix + "db", prefix + "app")]}


async def update(site: ActivityDriver, prefix: str) -> tuple[str, dict[str, Any]]:
    name = prefix + "app"
    await site.done(prefix + "a", name, present=[role(name, connection_limit=4)])
    return name, {"present": [role(name, login=False)]}


async def replace_(site: ActivityDriver, prefix: str) -> tuple[str, dict[str, Any]]:
    # The two places serve all tests: only what is in them changes.
    app, one, two, inner = "places-app", "places-one", "places-two", prefix + "inner"
    if await site.shape(app) is None:
        await site.done("places-a", app, present=[role(app)])
        await site.done("places-b", one, present=[database(one, app)])
        await site.done("places-c", two, present=[database(two, app)])
    await site.done(prefix + "a", inner, present=[schema(inner, one, app)])
    return inner, {"present": [schema(inner, two, app)]}


async def delete(site: ActivityDriver, prefix: str) -> tuple[str, dict[str, Any]]:
    name, wish = await create(site, prefix)
    await site.done(prefix + "b", name, **wish)
    return name, {"absent": [name]}


POINTS = [
    pytest.param(
        prepare, call, after, id=f"{prepare.__name__}-{'after' if after else 'before'}-{call}"
    )
    for prepare, calls in ((create, 1), (update, 1), (replace_, 2), (delete, 1))
    for call in range(1, calls + 1)
    for after in (False, True)
]


async def die(
    site: ActivityDriver, prefix: str, prepare: Prepare, call: int, after: bool
) -> tuple[str, ApplyResource]:
    """An attempt whose worker is killed; returns the saga, and what it was doing."""
    name, wish = await prepare(site, prefix)
    request = await site.request(name, **wish)
    saga_id = await site.open(prefix + "test")
    site.provider.dies_at, site.provider.after = site.provider.changes + call, after
    with pytest.raises(Killed):
        await site.apply(saga_id, request)
    return saga_id, request


async def agree(site: ActivityDriver, request: ApplyResource, expected: Any) -> None:
    """The ledger and the real server both hold what is expected, and nobody holds the claim."""
    assert await site.shape(request.name) == expected
    assert await site.claimed_by(request.name) is None
    for shape in (request.before, request.after):
        is_there = (
            shape is not None
            and expected is not None
            and (
                shape.kind == expected.kind
                and shape.spec.get("database") == expected.spec.get("database")
            )
        )
        real = await site.real(shape, request.name)
        assert real == (expected.spec if is_there else None)


@pytest.mark.parametrize(("prepare", "call", "after"), POINTS)
async def test_a_repeated_attempt_finishes_what_a_killed_one_began(
    site: ActivityDriver, ledger: Database, prefix: str, prepare: Prepare, call: int, after: bool
) -> None:
    saga_id, request = await die(site, prefix, prepare, call, after)
    before = await told(ledger, request.aggregate)
    await site.apply(saga_id, request)
    await agree(site, request, request.after)
    assert len(await told(ledger, request.aggregate)) == len(before) + 1
    again = await site.apply(saga_id, request)
    assert again == await site.apply(saga_id, request)
    assert len(await told(ledger, request.aggregate)) == len(before) + 1


@pytest.mark.parametrize(("prepare", "call", "after"), POINTS)
async def test_an_undo_brings_back_what_was_before_a_killed_attempt(
    site: ActivityDriver, ledger: Database, prefix: str, prepare: Prepare, call: int, after: bool
) -> None:
    saga_id, request = await die(site, prefix, prepare, call, after)
    undone = await site.undo(saga_id, request)
    assert undone.residual is None
    await agree(site, request, request.before)
    assert (await told(ledger, request.aggregate))[-1] == "ResourceChangeDropped"
    assert await site.undo_again(saga_id, request, 2) == undone


@pytest.mark.parametrize("prepare", [create, update, replace_, delete])
async def test_an_undo_brings_back_what_was_before_a_finished_change(
    site: ActivityDriver, ledger: Database, prefix: str, prepare: Prepare
) -> None:
    name, wish = await prepare(site, prefix)
    request = await site.request(name, **wish)
    saga_id = await site.open(prefix + "test")
    await site.apply(saga_id, request)
    undone = await site.undo(saga_id, request)
    await agree(site, request, request.before)
    assert await site.undo_again(saga_id, request, 2) == undone


@pytest.mark.parametrize(("call", "after"), [(1, False), (1, True)])
async def test_a_killed_undo_is_repeated(
    site: ActivityDriver, prefix: str, call: int, after: bool
) -> None:
    name, wish = await create(site, prefix)
    request = await site.request(name, **wish)
    saga_id = await site.open(prefix + "test")
    await site.apply(saga_id, request)
    site.provider.dies_at, site.provider.after = site.provider.changes + call, after
    with pytest.raises(Killed):
        await site.undo(saga_id, request)
    await site.undo_again(saga_id, request, 2)
    await agree(site, request, None)


async def test_an_attempt_that_wakes_after_the_undo_began_changes_nothing(
    site: ActivityDriver, ledger: Database, prefix: str
) -> None:
    saga_id, request = await die(site, prefix, create, 1, False)
    await site.undo(saga_id, request)
    with pytest.raises(Fenced):
        await site.apply(saga_id, request)
    await agree(site, request, None)
    assert "SagaCommitRefused" in await told(ledger, f"saga/{saga_id}")


async def test_an_undo_waits_until_no_attempt_can_be_calling(
    site: ActivityDriver, prefix: str
) -> None:
    saga_id, request = await die(site, prefix, create, 1, False)
    now = datetime.now(UTC)
    site.environment.info = replace(site.environment.info, scheduled_time=now)
    with pytest.raises(ApplicationError) as waits:
        await site.undo(saga_id, request)
    assert waits.value.next_retry_delay
    assert timedelta(0) < waits.value.next_retry_delay <= site.attempt


async def test_what_somebody_made_in_the_meantime_is_not_deleted_by_an_undo(
    site: ActivityDriver, target: Target, ledger: Database, prefix: str
) -> None:
    name = prefix + "app"
    request = await site.request(name, present=[role(name)])
    saga_id = await site.open(prefix + "test")
    site.provider.dies_at = site.provider.changes + 1
    with pytest.raises(Killed):
        await site.apply(saga_id, request)
    await target.execute(f'CREATE ROLE "{name}"')
    assert (await site.undo(saga_id, request)).note == "it never happened"
    assert await target.names(prefix) == {name}
    assert await site.shape(name) is None


async def test_what_another_saga_changed_later_is_left_as_it_is(
    site: ActivityDriver, ledger: Database, prefix: str
) -> None:
    name = prefix + "app"
    request = await site.request(name, present=[role(name)])
    saga_id = await site.open(prefix + "test")
    await site.apply(saga_id, request)
    await site.done(prefix + "later", name, present=[role(name, login=False)])
    undone = await site.undo(saga_id, request)
    assert undone.residual == f"{name} was changed later by another saga: left as it is"
    shape = await site.shape(name)
    assert shape is not None
    assert shape.spec["login"] is False


async def test_a_plan_that_is_outdated_claims_nothing(
    site: ActivityDriver, ledger: Database, prefix: str
) -> None:
    name = prefix + "app"
    request = await site.request(name, present=[role(name)])
    await site.done(prefix + "quicker", name, present=[role(name, login=False)])
    saga_id = await site.open(prefix + "test")
    with pytest.raises(StateRefused) as refused:
        await site.apply(saga_id, request)
    assert refused.value.reason == "plan_outdated"
    assert await told(ledger, request.aggregate) == ["ResourceChangeStarted", "ResourceCreated"]


async def test_a_deleted_database_comes_back_without_its_data_and_says_so(
    site: ActivityDriver, target: Target, prefix: str
) -> None:
    name, wish = await delete(site, prefix)
    await target.add_table(name)
    request = (await site.request(name, **wish)).model_copy(update={"allow_irreversible": True})
    saga_id = await site.open(prefix + "test")
    await site.apply(saga_id, request)
    undone = await site.undo(saga_id, request)
    assert undone.residual == f"postgres.database {name} is back without the data of 1 tables"
    await agree(site, request, request.before)


async def test_an_attempt_that_is_too_late_does_not_call(site: ActivityDriver, prefix: str) -> None:
    saga_id, request = await die(site, prefix, create, 1, False)
    await begin_compensation(site.database, AUTHOR, saga_id, 1, "run", "cancelled", None)
    changes = site.provider.changes
    with pytest.raises(Fenced):
        await site.apply(saga_id, request)
    assert site.provider.changes == changes
    await site.undo_again(saga_id, request, 2)


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of a step is over as soon as it has started."""
    monkeypatch.setattr(resources, "APPLY_WITHIN", timedelta(0))


async def test_what_was_not_done_in_time_is_given_up_and_undone(
    site: ActivityDriver, prefix: str, no_time: None
) -> None:
    name = prefix + "app"
    request = await site.request(name, present=[role(name)])
    saga_id = await site.open(prefix + "test")
    with pytest.raises(Failed):
        await site.apply(saga_id, request)
    await site.undo(saga_id, request)
    await agree(site, request, None)


async def test_what_was_done_in_time_is_recorded_afterwards(
    site: ActivityDriver, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = prefix + "app"
    request = await site.request(name, present=[role(name)])
    saga_id = await site.open(prefix + "test")
    monkeypatch.setattr(resources, "APPLY_WITHIN", timedelta(seconds=1))
    site.provider.dies_at, site.provider.after = site.provider.changes + 1, True
    with pytest.raises(Killed):
        await site.apply(saga_id, request)
    await until(lambda: site.is_late(saga_id, request))
    await site.apply(saga_id, request)
    await agree(site, request, request.after)
