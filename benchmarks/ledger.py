"""The ledger's part: what its commits and its readers cost, empty and full."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import psutil

from benchmarks.big_ledger import fill
from benchmarks.commits import Size, commit_table, full_table
from benchmarks.ledgers import migrated
from benchmarks.part import Part
from benchmarks.readers import past_table, reader_table
from benchmarks.run import Rounds
from worker.embedded.servers import EmbeddedServers


@dataclass(frozen=True)
class Scale:
    """How much is measured, and how many events a full ledger has."""

    size: Size
    full_events: int


# One at a time is slow on a disk that really writes.
WHOLE = Scale(
    Size({1: 800, 16: 8_000}, rounds=5, partitions=(1, 60), existing=10_000),
    full_events=5_000_000,
)
SMALL = Scale(Size({1: 16, 16: 64}, rounds=1, partitions=(1, 6), existing=160), full_events=10_000)


async def measure(servers: EmbeddedServers, scale: Scale) -> AsyncGenerator[Part, None]:
    """One part after the other, as each is done."""
    assert servers.main.process is not None
    rounds = Rounds(psutil.Process(servers.main.process.pid), scale.size.rounds)
    async with migrated(servers) as ledgers:
        yield Part("Commits", *await commit_table(ledgers, rounds, scale.size))
        full = await ledgers.new(1)
        filled = await asyncio.to_thread(fill, full.superuser, scale.full_events)
        yield Part(f"The past, beside {filled:,} events", await past_table(full), [])
        yield Part(f"Reading {filled:,} events", *await reader_table(full))
        found = await full_table(ledgers, full, rounds, scale.size)
        yield Part(f"Commits beside {filled:,} events", *found)
