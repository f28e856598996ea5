"""An undo that the target server refuses for good: tried for ever, until a person steps in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ledger.aggregates.resource import ResourceState, resource_name
from ledger.database import Database
from ledger.read.current_state import state_of
from ledger.words import escaped
from starter.client.waiting import Todo, recorded_todos
from tests.infrastructure.driver import ChangeDriver, Handle, Json, Target, after, role
from tests.support.until import until


async def step_of(handle: Handle, name: str) -> Json:
    """The step that creates a resource, as the query tells it."""
    steps = (await handle.query("progress"))["steps"]
    return next(step for step in steps if step["name"] == f"create {name}")


@asynccontextmanager
async def in_use(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> AsyncIterator[tuple[Handle, str]]:
    """A change that is being undone, and a role of it that can't be dropped: it owns a schema that
    was made by hand, inside the block."""
    app, last = prefix + "app", prefix + "last"
    begin = driver.change(prefix + "1", present=[role(app), after(role(last), app)])
    async with target.stopped_at(ledger, last, begin) as handle:
        await target.execute(f'CREATE SCHEMA "{app}" AUTHORIZATION "{app}"', "postgres")
        await handle.cancel()
    try:

        async def refused_often() -> bool:
            step = await step_of(handle, app)
            return bool(step["tries"] >= 3 and step["verbs"])

        await until(refused_often)
        yield handle, app
    finally:
        await target.execute(f'DROP SCHEMA IF EXISTS "{app}"', "postgres")


async def mend(handle: Handle, verb: str, name: str, **more: str) -> Json:
    """What a person says of the step; returns the result of the change."""
    said = {"actor": "user:ana", "step": f"create {name}", **more}
    await handle.execute_update(verb, said)
    result: Json = await handle.result()
    return result


async def state(ledger: Database, name: str) -> ResourceState:
    found = await state_of(ledger, resource_name("dev", name))
    assert isinstance(found, ResourceState)
    return found


async def waiting_among(ledger: Database, *handles: Handle) -> list[Todo]:
    """The rows of `amends waiting` that are about these sagas."""
    names = [handle.id for handle in handles]
    return [row for row in await recorded_todos(ledger) if row.name in names]


async def test_an_undo_that_is_refused_shows_why_and_goes_on_when_nothing_is_in_its_way(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    async with in_use(driver, target, ledger, prefix) as (handle, app):
        progress = await handle.query("progress")
        assert (progress["state"], progress["waits_for"]) == ("compensating", f"create {app}")
        step = await step_of(handle, app)
        assert "cannot be dropped because some objects depend on it" in step["detail"]
        assert step["verbs"] == ["retry", "skip", "resolve"]
        operations = [f"create {prefix}{each} (postgres.role)" for each in ("app", "last")]
        (row,) = await waiting_among(ledger, handle)
        assert row.wait.commands == progress["waits"][0]["commands"]
        told = {"environment": "dev", "actor": "user:ana", "plan": ", ".join(operations)}
        assert row.facts == told
        details = (await handle.query("__temporal_workflow_metadata")).current_details
        plan = ["Plan:", "", *(f"- {escaped(each)}" for each in operations)]
        assert "\n".join(plan) in details
    result = await handle.result()
    assert (result["state"], result["residuals"]) == ("compensated", [])
    assert await target.names(prefix) == set()


async def test_what_a_person_leaves_as_it_is_may_be_changed_by_the_next_change(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    async with in_use(driver, target, ledger, prefix) as (handle, app):
        assert (await state(ledger, app)).claimed_by == f"change/{prefix}1"
        result = await mend(handle, "skip", app, reason="it is needed")
        assert result["residuals"] == [f"create {app}: skipped by user:ana: it is needed"]
        left = await state(ledger, app)
        assert (left.state, left.claimed_by) == ("present", None)
        assert await target.names(prefix) == {app}
    reports = {step["name"]: step["undo_outcome"] for step in result["steps"]}
    assert reports[f"create {app}"] == "skipped"
    assert (await driver.apply(prefix + "2", absent=[app]))["state"] == "applied"
    assert await target.names(prefix) == set()


async def test_what_a_person_undid_by_hand_is_gone_from_the_ledger(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    async with in_use(driver, target, ledger, prefix) as (handle, app):
        assert (await mend(handle, "resolve", app, evidence="ticket 17"))["residuals"] == []
        gone = await state(ledger, app)
        assert (gone.state, gone.claimed_by) == ("absent", None)
    await target.execute(f'DROP ROLE "{app}"')
