"""Whole sagas with a ledger behind PgBouncer in transaction mode, with two sessions for the worker,
with prepared statements and without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from ledger.audit.verify import verify
from ledger.database import Database, Pooling, open_database
from ledger.read.global_order import START
from ledger.read.log import LoggedEvent, log
from ledger.read.subscription import Follower
from tests.infrastructure.driver import ChangeDriver, database, role
from tests.sagas.conftest import INFRASTRUCTURE_QUEUE, NewAgent, Place
from tests.sagas.sweeping import Sweeper, end
from tests.support.driver import Driver, new_id, payment
from tests.support.pgbouncer import Bouncer
from tests.support.probe import Probe
from tests.support.until import until
from worker.embedded.servers import EmbeddedServers


@pytest.fixture(scope="module")
async def place(
    servers: EmbeddedServers, place: Place, bouncer: Bouncer, pooling: Pooling
) -> Place:
    """The worker goes through PgBouncer; the tests look past it."""
    assert place.settings.database_url is not None
    return replace(
        place,
        settings=replace(
            place.settings,
            database_url=bouncer.through(place.settings.database_url),
            database_pooling=pooling,
            target_url=servers.target_url,
        ),
    )


@pytest.fixture(scope="module")
async def ledger(place: Place) -> AsyncIterator[Database]:
    settings = place.settings
    assert settings.database_url is not None
    async with open_database(
        settings.database_url, size=2, pooling=settings.pooling, writes=True
    ) as opened:
        yield opened


@pytest.fixture
async def followed(place: Place, bouncer: Bouncer, pooling: Pooling) -> AsyncIterator[Database]:
    """The auditor, through PgBouncer too. A subscription has followed from the first event on, and
    has had every event once."""
    given: list[LoggedEvent] = []

    async def follow() -> None:
        async with aclosing(Follower(auditor, after=START).events()) as events:
            async for event in events:
                given.append(event)

    url = bouncer.through(place.audit_url)
    async with open_database(url, size=2, pooling=pooling) as auditor:
        following = asyncio.create_task(follow())
        yield auditor

        async def caught_up() -> bool:
            return given == await log(auditor, limit=10_000)

        await until(caught_up, 0.1)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        verified = await verify(auditor)
        assert (verified.findings, verified.events) == ([], len(given))


async def test_payments_that_are_approved_cancelled_taken_over_lost_and_many_at_once(
    driver: Driver, probe: Probe, sweeper: Sweeper, new_agent: NewAgent, followed: Database
) -> None:
    agent = await new_agent()
    agents = [await new_agent() for _ in range(4)]
    approved, cancelled, taken_over, lost = (payment(each, 55_000) for each in agents)
    await driver.until_waits(approved, "approval")
    await driver.tell(approved, "approve")
    assert (await driver.result(approved))["state"] == "captured"
    await driver.until_waits(cancelled, "approval")
    await driver.tell(cancelled, "cancel")
    assert (await driver.result(cancelled))["reason"] == "cancelled"
    await end(await driver.until_waits(taken_over, "approval"))
    await driver.until_waits(taken_over, "approval")
    await driver.tell(taken_over, "approve")
    assert (await driver.result(taken_over))["state"] == "captured"
    await end(await driver.until_waits(lost, "approval"))
    assert (await sweeper.recover(lost))["reason"] == "lost_run"
    # Each commit of one agent is in the way of the others, in two sessions.
    many = [payment(agent, 4_000) for _ in range(30)]
    ends = [result["state"] for result in await asyncio.gather(*map(driver.run, many))]
    assert (ends.count("captured"), ends.count("denied")) == (25, 5)
    assert await probe.spent(agent) == (100_000, 25)


async def test_a_change_is_applied_and_one_that_fails_half_way_is_undone(
    driver: Driver, followed: Database
) -> None:
    name = new_id("pooled")
    present = [role(name), database(f"{name}-db", name, depends_on=[name])]
    changes = ChangeDriver(driver.client, INFRASTRUCTURE_QUEUE)
    assert (await changes.apply(name, present=present))["state"] == "applied"
    fails = [
        role(f"{name}-2"),
        database(f"{name}-b", "nobody-has-this", depends_on=[f"{name}-2"]),
    ]
    assert (await changes.apply(f"{name}-2", present=fails))["state"] == "compensated"
    assert (await changes.apply(f"{name}-3", absent=[f"{name}-db", name]))["state"] == "applied"
