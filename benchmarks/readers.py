"""What reading costs in a ledger that is full: verify, the log, and a look at the past."""

from benchmarks.history import LONG, SHORT, show_at
from benchmarks.ledgers import Ledger
from benchmarks.reader import Read, read
from benchmarks.table import Table, factor
from ledger.database import open_database

VERIFY_AIM_PER_S, PEAK_AIM_MB, PAST_AIM = 25_000, 200, 3.0


async def reader_table(full: Ledger) -> tuple[Table, list[str]]:
    """The table, and what verify found."""
    table = Table("what | events | events/s | peak MB of a process")
    one = await read(full.auditor, "verify", "1")
    two = await read(full.auditor, "verify", "2")
    logged = await read(full.auditor, "log")
    aim = f" (aim {VERIFY_AIM_PER_S:,})"
    table.add("verify, 1 process", *_cells(one, aim))
    table.add("verify, 2 processes", *_cells(two, f", {factor(two.per_s / one.per_s)} of one"))
    table.add("log, all of it", *_cells(logged, ""))
    return table, one.findings + two.findings


async def past_table(full: Ledger) -> Table:
    """`show --at` on a short and on a long aggregate."""
    table = Table(f"show --at | p50 ms | to {SHORT} events")
    async with open_database(full.worker, size=4) as database:
        short_ms, long_ms = await show_at(database)
    table.add(f"{SHORT} events", f"{short_ms:.1f}", factor(1.0))
    ratio = f"{factor(long_ms / short_ms)} (at most {PAST_AIM:.2f})"
    table.add(f"{LONG:,} events", f"{long_ms:.1f}", ratio)
    return table


def _cells(found: Read, words: str) -> tuple[str, str, str]:
    peak = f"{found.peak_mb:.0f} (at most {PEAK_AIM_MB})"
    return f"{found.events:,}", f"{found.per_s:,.0f}{words}", peak
