"""The list of what waits is read by the indexes that hold only what waits."""

from psycopg import conninfo

from ledger.database import Database, open_database
from ledger.read.waits import waiting
from tests.ledger.conftest import Clone
from tests.support.until import until

INDEXES = ("sagas_waiting", "saga_steps_waiting")


async def test_what_waits_is_found_by_its_indexes(clone: Clone, ledger: Database) -> None:
    async def used() -> bool:
        found = await clone.fetch(
            "SELECT indexrelname FROM pg_stat_user_indexes "
            "WHERE indexrelname = ANY(%s) AND idx_scan > 0",
            list(INDEXES),
        )
        return {name for (name,) in found} == set(INDEXES)

    assert not await used()
    # The tables of a test are too small for any index to pay.
    options = "-c enable_seqscan=off -c enable_sort=off"
    async with open_database(conninfo.make_conninfo(clone.auditor, options=options)) as database:
        assert await waiting(database, limit=10) == []
    await until(used)
