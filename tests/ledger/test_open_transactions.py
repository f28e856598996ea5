"""Who holds up what may be read as final."""

from psycopg import AsyncConnection, IsolationLevel

from ledger.database import open_database
from ledger.holders import OpenTransaction
from ledger.read.open_transactions import oldest_open_transaction
from tests.ledger.conftest import Clone


async def _oldest(clone: Clone, url: str) -> OpenTransaction | None:
    async with open_database(url, size=1) as database, database.connection() as connection:
        return await oldest_open_transaction(connection)


async def test_the_oldest_writer_is_named_to_the_auditor_and_who_only_reads_is_not(
    clone: Clone,
) -> None:
    async with (
        await AsyncConnection.connect(clone.worker) as reader,
        await AsyncConnection.connect(f"{clone.worker}&application_name=month-end") as first,
        await AsyncConnection.connect(clone.worker) as second,
    ):
        # The reader began first and keeps its snapshot: it would be the oldest if it counted.
        await reader.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await reader.execute("SELECT count(*) FROM ledger.event_log")
        for connection in (first, second):
            await connection.execute("SELECT pg_current_xact_id()")
        found = await _oldest(clone, clone.auditor)
        assert found is not None
        assert (found.pid, found.application) == (first.info.backend_pid, "month-end")
        assert (found.role, found.since) == ("amends_worker", None)
        assert str(found).startswith(f"process {found.pid} (month-end) of amends_worker in ")
        # Since when is for its own role, and for the superuser.
        own = await _oldest(clone, clone.worker)
        assert own is not None
        assert own.since is not None
        assert str(own).endswith(f", since {own.since.isoformat(timespec='seconds')}")


def test_a_prepared_transaction_is_named_by_its_name() -> None:
    found = OpenTransaction(
        pid=None, prepared="tx-1", database="shop", role="ana", application=None, since=None
    )
    assert str(found) == "the prepared transaction 'tx-1' of ana in shop"
