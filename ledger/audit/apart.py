"""Scans the ledger in several processes, which see the same moment: that of the transaction which
is open in the first."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread

from ledger.audit.scan import Share, Walked, walk
from ledger.database import Connection, Database, Pooling, open_database
from ledger.errors import ShareLost


async def walk_apart(
    database: Database, connection: Connection, shares: Sequence[Share]
) -> list[Walked]:
    """Walks each share in a process of its own, in the snapshot of the transaction that is open
    here.

    Raises ShareLost when one of them was killed, and what `walk` raises.
    """
    row = await (await connection.execute("SELECT pg_export_snapshot() AS name")).fetchone()
    assert row is not None
    loop = asyncio.get_running_loop()
    # Fresh interpreters: a fork of a process with connections and threads would share them.
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
        try:
            return await asyncio.gather(
                *(
                    loop.run_in_executor(
                        pool, _walk_share, database.url, database.pooling, row["name"], share
                    )
                    for share in shares
                )
            )
        except BrokenProcessPool:
            raise ShareLost(
                "a process that verified a part of the ledger was killed, so that part is "
                "unchecked: verify again, with fewer processes if memory was short"
            ) from None


def _walk_share(url: str, pooling: Pooling, snapshot: str, share: Share) -> Walked:
    Thread(target=end_with_parent, daemon=True).start()
    return asyncio.run(_walk_at(url, pooling, snapshot, share))


def end_with_parent() -> None:
    """Ends this process when its parent ends: a killed verification leaves none behind."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


async def _walk_at(url: str, pooling: Pooling, snapshot: str, share: Share) -> Walked:
    async with (
        open_database(url, size=1, pooling=pooling) as database,
        database.connection() as connection,
    ):
        await connection.begin(read_only=True, snapshot=snapshot)
        return await walk(connection, share)
