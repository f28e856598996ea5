"""The big ledger of the benchmarks is as right as one that was committed event by event."""

import asyncio

from benchmarks.big_ledger import fill
from benchmarks.reader import read
from ledger.database import Database
from tests.ledger.conftest import Clone
from tests.ledger.writing import register


async def test_a_big_ledger_is_clean_and_can_be_written_to(clone: Clone, ledger: Database) -> None:
    events = await asyncio.to_thread(fill, clone.superuser, 500)
    assert events >= 500
    for processes in (1, 2):
        found = await read(clone.auditor, "verify", str(processes))
        assert (found.events, found.findings) == (events, [])
    await register(ledger)
