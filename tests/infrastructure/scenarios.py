"""One change or rollback of each scenario, from start to end."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from temporalio.client import WorkflowFailureError

from tests.infrastructure.driver import ChangeDriver, Handle, Target, database, role, schema
from tests.support.until import until


@dataclass(frozen=True)
class Site:
    """All that a scenario needs; the names of its resources begin with `prefix`."""

    driver: ChangeDriver
    target: Target
    prefix: str

    async def ended(self, handle: Handle) -> Handle:
        """The same, once it has ended in whatever way."""
        with suppress(WorkflowFailureError):
            await handle.result()
        return handle

    async def rolled_back(self, to: str) -> Handle:
        """A rollback, once it has ended."""
        operation_id, resources = f"{self.prefix}back", [f"{self.prefix}app"]
        asked = {
            "operation_id": operation_id,
            "actor": "user:ana",
            "to": to,
            "resources": resources,
        }
        saga_id = f"rollback/{operation_id}"
        return await self.ended(await self.driver.start("RollbackSaga", saga_id, asked))


Scenario = Callable[[Site], Awaitable[Handle]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    SCENARIOS[play.__name__.replace("_", "-")] = play
    return play


@scenario
async def change_applied(site: Site) -> Handle:
    app, db = f"{site.prefix}app", f"{site.prefix}db"
    roles = [role(app), role(f"{site.prefix}reader")]
    present = [*roles, database(db, app), schema(f"{site.prefix}sales", db, app)]
    return await site.ended(await site.driver.change(f"{site.prefix}1", present=present))


@scenario
async def change_unchanged(site: Site) -> Handle:
    present = [role(f"{site.prefix}app")]
    await site.driver.apply(f"{site.prefix}1", present=present)
    return await site.ended(await site.driver.change(f"{site.prefix}2", present=present))


@scenario
async def change_refused(site: Site) -> Handle:
    present = [database(f"{site.prefix}db", f"{site.prefix}nobody")]
    return await site.ended(await site.driver.change(f"{site.prefix}1", present=present))


@scenario
async def change_undone(site: Site) -> Handle:
    app, db = f"{site.prefix}app", f"{site.prefix}db"
    # A database of that name is there, and not ours: the third step is refused.
    await site.target.execute(f'CREATE DATABASE "{db}"')
    present = [role(app), role(f"{site.prefix}reader"), database(db, app)]
    return await site.ended(await site.driver.change(f"{site.prefix}1", present=present))


@scenario
async def change_cancelled(site: Site) -> Handle:
    app, db = f"{site.prefix}app", f"{site.prefix}db"
    async with site.target.hold("postgres.database", db):
        handle = await site.driver.change(f"{site.prefix}1", present=[role(app), database(db, app)])

        async def has_begun() -> bool:
            steps = (await handle.query("progress"))["steps"]
            return any(step["name"] == f"create {db}" for step in steps)

        await until(has_begun)
        await handle.cancel()
    return await site.ended(handle)


@scenario
async def rollback_applied(site: Site) -> Handle:
    await site.driver.apply(f"{site.prefix}1", present=[role(f"{site.prefix}app")])
    return await site.rolled_back(f"before:{site.prefix}1")


@scenario
async def rollback_refused(site: Site) -> Handle:
    return await site.rolled_back(f"before:{site.prefix}never")
