"""Work done by this one process: `ledger.commit`, as a worker would."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from benchmarks.run import Run


async def together(
    work: Callable[[int], Awaitable[object]], numbers: Iterable[int], at_once: int
) -> Run:
    """Work for each number, so many at once, in one event loop."""
    left, done = iter(numbers), 0

    async def lane() -> None:
        nonlocal done
        for number in left:
            await work(number)
            done += 1

    cpu_s, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(at_once)))
    elapsed_s = time.perf_counter() - began
    return Run(done, elapsed_s, done / elapsed_s, time.process_time() - cpu_s)
