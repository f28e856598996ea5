"""What a commit costs: `ledger.commit` beside pgbench with the same statements."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.ledgers import Ledger, Ledgers, prefill, prefill_by_pgbench, set_partitions
from benchmarks.pgbench import pgbench
from benchmarks.program import together
from benchmarks.reader import read
from benchmarks.run import Measured, Rounds, Work
from benchmarks.scenarios import Scenario, load, single
from benchmarks.table import Table, factor
from ledger.database import Database, open_database

POOL = 16
# Its sessions begin anew in each run, and plan again for each partition: that should not count.
PGBENCH_MORE = 3
RULES_AIM, FULL_AIM = 0.7, 0.9


@dataclass(frozen=True)
class Size:
    """How much is measured: commits in a run, by how many at once; rounds; partitions of the log;
    and aggregates that are there before: with many, two commits rarely meet."""

    commits: dict[int, int]
    rounds: int
    partitions: tuple[int, int]
    existing: int

    @property
    def scenarios(self) -> tuple[Scenario, Scenario]:
        return single(self.existing), load(self.existing)


@dataclass(frozen=True)
class Places:
    """Where pgbench writes with and without the rules, and where ledger.commit does."""

    limit: Ledger
    free: Ledger
    own: Ledger

    @classmethod
    async def make(cls, ledgers: Ledgers, partitions: int, existing: int) -> "Places":
        limit, own = await ledgers.new(partitions), await ledgers.new(partitions)
        await prefill_by_pgbench(limit, existing)
        await prefill(own, existing)
        return cls(limit, await ledgers.without_rules(limit), own)


def by_pgbench(ledger: Ledger, scenario: Scenario, at_once: int, commits: int) -> Work:
    script = scenario.script()
    return lambda: pgbench(ledger.worker, script, at_once, commits * PGBENCH_MORE)


def by_commit(database: Database, scenario: Scenario, at_once: int, commits: int) -> Work:
    async def one(_: int) -> None:
        await scenario.commit(database, scenario.number())

    return lambda: together(one, range(commits), at_once)


async def commit_table(ledgers: Ledgers, rounds: Rounds, size: Size) -> tuple[Table, list[str]]:
    """Both commits, 1 and 16 at once, with few and with many partitions; and what verify found."""
    findings: list[str] = []
    table = Table(
        "partitions | commit | at once | (a) pgbench /s | (b) without rules /s | (c) commit /s"
        " | (c) / (a) | (a) / (b) | server µs (a) | (c) | client µs (a) | (c)"
    )
    for partitions in size.partitions:
        places = await Places.make(ledgers, partitions, size.existing)
        async with open_database(places.own.worker, size=POOL) as database:
            for scenario in size.scenarios:
                for at_once, commits in size.commits.items():
                    await _settle(places.limit, places.free, places.own)
                    found = await rounds.run(
                        {
                            "a": by_pgbench(places.limit, scenario, at_once, commits),
                            "b": by_pgbench(places.free, scenario, at_once, commits),
                            "c": by_commit(database, scenario, at_once, commits),
                        }
                    )
                    row = (str(partitions), scenario.name, str(at_once))
                    table.add(*row, *_cells(found, scenario.aim if at_once == POOL else None))
        findings += (await read(places.own.auditor, "verify", "1")).findings
    return table, findings


def _cells(found: Measured, aim: float | None) -> list[str]:
    return [
        *(f"{found.median(name):,.0f}" for name in "abc"),
        factor(found.ratio("c", "a"), aim),
        factor(found.ratio("a", "b"), RULES_AIM),
        *(f"{found.median(name, lambda run: run.server_us):.0f}" for name in "ac"),
        *(f"{found.median(name, lambda run: run.client_us):.0f}" for name in "ac"),
    ]


async def full_table(
    ledgers: Ledgers, full: Ledger, rounds: Rounds, size: Size
) -> tuple[Table, list[str]]:
    """The same, 16 at once, in a ledger that is full already, beside new ones."""
    findings: list[str] = []
    table = Table(
        "partitions | commit | (a) empty /s | full /s | full / empty"
        " | (c) empty /s | full /s | full / empty"
    )
    commits = size.commits[POOL]
    await prefill_by_pgbench(full, size.existing)
    await prefill(full, size.existing)
    for partitions in size.partitions:
        places = await Places.make(ledgers, partitions, size.existing)
        await set_partitions(full, partitions)
        async with _opened(places.own) as own, _opened(full) as fully:
            for scenario in size.scenarios:
                await _settle(places.limit, places.own, full)
                found = await rounds.run(
                    {
                        "a": by_pgbench(places.limit, scenario, POOL, commits),
                        "a full": by_pgbench(full, scenario, POOL, commits),
                        "c": by_commit(own, scenario, POOL, commits),
                        "c full": by_commit(fully, scenario, POOL, commits),
                    }
                )
                cells: list[str] = []
                for name in "ac":
                    cells += (f"{found.median(each):,.0f}" for each in (name, f"{name} full"))
                    cells.append(factor(found.ratio(f"{name} full", name), FULL_AIM))
                table.add(str(partitions), scenario.name, *cells)
        findings += (await read(places.own.auditor, "verify", "1")).findings
    return table, findings


@asynccontextmanager
async def _opened(ledger: Ledger) -> AsyncIterator[Database]:
    async with open_database(ledger.worker, size=POOL) as database:
        yield database


async def _settle(*ledgers: Ledger) -> None:
    """All begin alike: swept, counted, and with no checkpoint due."""
    for ledger in ledgers:
        await ledger.execute("VACUUM (ANALYZE) ledger.agents", "VACUUM (ANALYZE) ledger.event_log")
    await ledgers[0].execute("CHECKPOINT")
