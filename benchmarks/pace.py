"""How fast sagas or workflows go: one at a time, then many at once."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

One = Callable[[int], Awaitable[object]]
# Who spends processor time: the program that asks for the sagas and carries them, and servers.
OWN, POSTGRES, TEMPORAL = "own", "PostgreSQL", "Temporal"
# Processor seconds so far, by who spent them.
Spent = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Measured:
    """`per_s` with many at once, and the processor time of each by who spent it; `times_ms` of
    each, one at a time."""

    per_s: float
    times_ms: list[float]
    cpu_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.times_ms)

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self.times_ms, n=100)[98]


@dataclass(frozen=True)
class Amount:
    """How many are measured one at a time, and how many `at_once`."""

    alone: int
    together: int
    at_once: int


async def measure(one: One, amount: Amount, spent_s: Spent = dict) -> Measured:
    """Run it one at a time, then many at once."""
    times_ms: list[float] = []
    for number in range(amount.alone):
        began = time.perf_counter()
        await one(number)
        times_ms.append((time.perf_counter() - began) * 1_000)
    before, began = spent_s(), time.perf_counter()
    await together(one, amount)
    per_s = amount.together / (time.perf_counter() - began)
    return Measured(per_s, times_ms, for_each(before, spent_s(), amount.together))


async def together(one: One, amount: Amount) -> None:
    """Many at once."""
    numbers = iter(range(amount.alone, amount.alone + amount.together))

    async def lane() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(lane() for _ in range(amount.at_once)))


def for_each(
    before: Mapping[str, float], after: Mapping[str, float], count: int
) -> dict[str, float]:
    """Milliseconds of each of so many, from the seconds of all, by who spent them."""
    return {name: (after[name] - before[name]) / count * 1_000 for name in after}
