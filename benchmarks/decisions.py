"""How soon a payment is decided, beside another build: from the submit to the decision."""

import statistics
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.beside import OTHER, THIS, both
from benchmarks.part import Part
from benchmarks.table import Table, factor

# The p50 and the p99, as shares of the other build's.
AIM = 0.5
AT_ONCE = (1, 20)


@dataclass(frozen=True)
class Size:
    """How many payments in each of so many rounds; the first round warms up and does not count."""

    payments: int
    rounds: int


WHOLE, SMALL = Size(200, 4), Size(4, 2)


async def measure(other: Path, size: Size) -> AsyncGenerator[Part, None]:
    """Both builds in turn, round after round, one payment at a time and many at once."""
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    async with both(other) as builds:
        for number in range(size.rounds):
            for at_once in AT_ONCE:
                for name in (THIS, OTHER) if number % 2 else (OTHER, THIS):
                    took = await builds[name].ask("decision", size.payments, at_once)
                    times = (took["p50_ms"], took["p99_ms"])
                    found.setdefault((at_once, name), []).append(times)
    yield Part("Submit to decision, beside another build", _table(found), [])


def _table(found: dict[tuple[int, str], list[tuple[float, float]]]) -> Table:
    table = Table("at once | build | p50 ms | p99 ms")
    for at_once in AT_ONCE:
        rounds = {name: found[at_once, name][1:] for name in (THIS, OTHER)}
        for name, times in rounds.items():
            p50, p99 = (statistics.median(each) for each in zip(*times, strict=True))
            table.add(f"{at_once}", name, f"{p50:.1f}", f"{p99:.1f}")
        pairs = list(zip(rounds[THIS], rounds[OTHER], strict=True))
        shares = [statistics.median(a[n] / b[n] for a, b in pairs) for n in (0, 1)]
        table.add(f"{at_once}", "share", *(factor(share, AIM) for share in shares))
    return table
