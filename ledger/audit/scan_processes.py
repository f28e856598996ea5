"""Walks through the ledger in several processes, which all see the same moment."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread

from psycopg import sql

from ledger.audit.scan import Share, Walked, walk
from ledger.database import Connection, Database, open_database
from ledger.errors import ShareLost


async def walk_apart(
    database: Database, connection: Connection, shares: Sequence[Share]
) -> list[Walked]:
    """Each share in a process of its own, at the moment of the transaction that is open here.

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
                    loop.run_in_executor(pool, _walk_share, database.url, row["name"], share)
                    for share in shares
                )
            )
        except BrokenProcessPool:
            raise ShareLost(
                "a process that verified a part of the ledger was killed: nothing is known of that "
                "part; verify again, with fewer processes if memory was short"
            ) from None


def _walk_share(url: str, snapshot: str, share: Share) -> Walked:
    Thread(target=end_with_parent, daemon=True).start()
    return asyncio.run(_walk_at(url, snapshot, share))


def end_with_parent() -> None:
    """A verification that was killed does not go on in its processes."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


async def _walk_at(url: str, snapshot: str, share: Share) -> Walked:
    async with open_database(url, size=1) as database, database.connection() as connection:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        await connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
        return await walk(connection, share)
