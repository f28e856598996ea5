"""The benchmarks run to their end, and their ledgers verify. How fast is not asked here."""

from contextlib import aclosing
from itertools import product

import pytest

from benchmarks import ledger
from worker.embedded.servers import EmbeddedServers


@pytest.mark.timeout(600)
async def test_a_small_run_fills_every_row_and_its_ledgers_verify(servers: EmbeddedServers) -> None:
    async with aclosing(ledger.measure(servers, ledger.SMALL)) as parts:
        commits, past, reading, full = [part async for part in parts]

    scenarios = ("single statement", "load, decide, write")
    assert [row[:3] for row in commits.table.rows] == [*product(("1", "6"), scenarios, ("1", "16"))]
    assert [row[:2] for row in full.table.rows] == [*product(("1", "6"), scenarios)]
    assert [row[0] for row in reading.table.rows] == [
        "verify, 1 process",
        "verify, 2 processes",
        "log, all of it",
    ]
    assert [row[0] for row in past.table.rows] == ["100 events", "10,000 events"]
    for part in (commits, past, reading, full):
        assert all(cell for row in part.table.rows for cell in row)
        assert part.findings == []
