"""The worker dies at each point of each operation; then the attempt is repeated, or undone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities import resources
from activities.errors import Failed
from activities.providers.postgres.provider import PostgresProvider
from activities.resource_change import ApplyResource
from ledger.database import Database
from ledger.errors import Fenced, StateRefused
from ledger.sagas.saga_log import begin_compensation
from tests.infrastructure.activity_driver import AUTHOR, ActivityDriver, KillableProvider, Killed
from tests.infrastructure.driver import Target, database, role, schema, told
from tests.support.until import until
from worker.embedded.servers import EmbeddedServers

Wish = tuple[str, dict[str, Any]]
Prepare = Callable[[ActivityDriver, str], Awaitable[Wish]]


@pytest.fixture
async def site(
    servers: EmbeddedServers, database: Database, ledger: Database
) -> AsyncIterator[ActivityDriver]:
    provider = PostgresProvider(servers.target_url)
    yield ActivityDriver(database, KillableProvider(provider))
    await provider.close()


async def create(site: ActivityDriver, prefix: str) -> Wish:
    await site.done(prefix + "a", prefix + "app", present=[role(prefix + "app")])
    return prefix + "db", {"present": [database(prefix + "db", prefix + "app")]}


async def update(site: ActivityDriver, prefix: str) -> Wish:
    name = prefix + "app"
    await site.done(prefix + "a", name, present=[role(name, connection_limit=4)])
    return name, {"present": [role(name, login=False)]}


async def replace_(site: ActivityDriver, prefix: str) -> Wish:
    # The two places serve all tests: only what is in them changes.
    app, one, two, inner = "places-app", "places-one", "places-two", prefix + "inner"
    if await site.shape(app) is None:
        await site.done("places-a", app, present=[role(app)])
        await site.done("places-b", one, present=[database(one, app)])
        await site.done("places-c", two, present=[database(two, app)])
    await site.done(prefix + "a", inner, present=[schema(inner, one, app)])
    return inner, {"present": [schema(inner, two, app)]}


async def delete(site: ActivityDriver, prefix: str) -> Wish:
    name, wish = await create(site, prefix)
    await site.done(prefix + "b", name, **wish)
    return name, {"absent": [name]}


POINTS = [
    pytest.param(
        prepare, call, after, id=f"{prepare.__name__}-{call}-{'after' if after else 'before'}"
    )
    for prepare, calls in ((create, 1), (update, 1), (replace_, 2), (delete, 1))
    for call in range(1, calls + 1)
    for after in (False, True)
]


async def a_role(site: ActivityDriver, prefix: str) -> Wish:
    return prefix + "app", {"present": [role(prefix + "app")]}


async def begin(site: ActivityDriver, prefix: str, prepare: Prepare) -> tuple[str, ApplyResource]:
    """A saga, and what it is to do."""
    name, wish = await prepare(site, prefix)
    request = await site.request(name, **wish)
    return await site.open(prefix + "test"), request


async def killed(site: ActivityDriver, work: Awaitable[Any], call: int, after: bool) -> None:
    """The worker dies at work."""
    site.provider.dies_at, site.provider.after = site.provider.changes + call, after
    with pytest.raises(Killed):
        await work


async def die(
    site: ActivityDriver, prefix: str, prepare: Prepare, call: int, after: bool
) -> tuple[str, ApplyResource]:
    """An attempt whose worker is killed; returns the saga, and what it was doing."""
    saga_id, request = await begin(site, prefix, prepare)
    await killed(site, site.apply(saga_id, request), call, after)
    return saga_id, request


async def agree(site: ActivityDriver, request: ApplyResource, expected: Any) -> None:
    """The ledger and the real server both hold what is expected, and nobody holds the claim."""
    assert await site.shape(request.name) == expected
    assert await site.claimed_by(request.name) is None
    for shape in (request.before, request.after):
        places = [(it.kind, it.spec.get("database")) if it else None for it in (shape, expected)]
        is_there = expected is not None and places[0] == places[1]
        assert await site.real(shape, request.name) == (expected.spec if is_there else None)


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
    saga_id, request = await begin(site, prefix, prepare)
    await site.apply(saga_id, request)
    undone = await site.undo(saga_id, request)
    await agree(site, request, request.before)
    assert await site.undo_again(saga_id, request, 2) == undone


@pytest.mark.parametrize("after", [False, True])
async def test_a_killed_undo_is_repeated(site: ActivityDriver, prefix: str, after: bool) -> None:
    saga_id, request = await begin(site, prefix, create)
    await site.apply(saga_id, request)
    await killed(site, site.undo(saga_id, request), 1, after)
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
    saga_id, request = await die(site, prefix, a_role, 1, False)
    await target.execute(f'CREATE ROLE "{name}"')
    assert (await site.undo(saga_id, request)).note == "it never happened"
    assert await target.names(prefix) == {name}
    assert await site.shape(name) is None


async def test_what_another_saga_changed_later_is_left_as_it_is(
    site: ActivityDriver, ledger: Database, prefix: str
) -> None:
    name = prefix + "app"
    saga_id, request = await begin(site, prefix, a_role)
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
    saga_id, request = await begin(site, prefix, a_role)
    await site.done(prefix + "quicker", name, present=[role(name, login=False)])
    with pytest.raises(StateRefused) as refused:
        await site.apply(saga_id, request)
    assert refused.value.reason == "claimed"
    by = f"change/{prefix}quicker"
    assert str(refused.value) == f"{name} was changed by {by} since the plan was made"
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


async def test_what_was_not_done_in_time_is_given_up_and_undone(
    site: ActivityDriver, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The deadline is over as soon as the step has started.
    monkeypatch.setattr(resources, "APPLY_WITHIN", timedelta(0))
    saga_id, request = await begin(site, prefix, a_role)
    with pytest.raises(Failed):
        await site.apply(saga_id, request)
    await site.undo(saga_id, request)
    await agree(site, request, None)


async def test_what_was_done_in_time_is_recorded_afterwards(
    site: ActivityDriver, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "APPLY_WITHIN", timedelta(seconds=1))
    saga_id, request = await die(site, prefix, a_role, 1, True)
    await until(lambda: site.is_late(saga_id, request))
    await site.apply(saga_id, request)
    await agree(site, request, request.after)
