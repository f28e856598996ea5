"""What a worker does for those who follow the log."""

from psycopg import AsyncConnection
from temporalio.client import Client

from tests.sagas.conftest import NewWorker, Place
from tests.support.driver import Driver, new_id, payment
from tests.support.until import until


async def test_a_worker_begins_the_new_life_of_a_restored_ledger_and_wakes_followers(
    place: Place, client: Client, new_worker: NewWorker
) -> None:
    async with await AsyncConnection.connect(place.superuser_url) as connection:
        # As a dump of another cluster would bring it.
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("UPDATE ledger.incarnations SET system_identifier = 1")
    queue = new_id("followed")
    driver = Driver(client, queue)
    async with (
        await AsyncConnection.connect(place.audit_url, autocommit=True) as auditor,
        new_worker(queue) as worker,
    ):
        await auditor.execute("LISTEN amends_events")
        await worker.start()

        async def recorded() -> bool:
            rows = await auditor.execute("SELECT restored_position FROM ledger.incarnations")
            return await rows.fetchall() == [(0,), (0,)]

        await until(recorded)
        handle = await driver.start(payment(new_id("nobody"), 10))
        assert (await handle.result())["state"] == "denied"
        woken = [each.channel async for each in auditor.notifies(timeout=60, stop_after=1)]
        assert set(woken) == {"amends_events"}
        assert await worker.stop() == 0
