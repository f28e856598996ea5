"""The worker processes of the soak: some are killed and started again, one lives all the time."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import psutil

from benchmarks.run import cpu_s
from tests.support.worker_process import WorkerProcess, free_address, worker_process

SAMPLE_EVERY_S = 0.5
MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """What a worker holds, in MiB, when so many sagas had ended."""

    ended: int
    mib: float


@dataclass(frozen=True)
class Memory:
    """What one worker held on its way: medians of the quarters, by the sagas that had ended."""

    quarters: list[float]
    growth_mib: float

    @classmethod
    def of(cls, samples: list[Sample], sagas: int) -> "Memory":
        """`growth_mib`: for each 1,000 sagas, from the second quarter to the last one."""
        quarters = [
            statistics.median(
                sample.mib for sample in samples if sample.ended * 4 // (sagas + 1) == quarter
            )
            for quarter in range(4)
        ]
        return cls(quarters, (quarters[3] - quarters[1]) / (sagas / 2) * 1_000)


class Fleet:
    """Workers on one task queue. The first is never killed: its memory is what is looked at."""

    def __init__(self, workers: list[WorkerProcess]) -> None:
        self._workers = workers
        self.kills = 0
        self.samples: list[Sample] = []
        self._spent_s = 0.0

    async def kill_one(self) -> None:
        """SIGKILL for one of the mortal ones, in turn, and another in its place."""
        mortal = self._workers[1:]
        worker = mortal[self.kills % len(mortal)]
        self._spent_s += cpu_s(psutil.Process(worker.pid))
        await worker.kill()
        self.kills += 1
        await worker.start()

    def cpu_s(self) -> float:
        """Processor time of all workers, those that were killed too."""
        return self._spent_s + sum(cpu_s(psutil.Process(each.pid)) for each in self._workers)

    async def sample(self, ended: Callable[[], int]) -> None:
        """Look at the memory of the one that lives, again and again."""
        process = psutil.Process(self._workers[0].pid)
        while True:
            self.samples.append(Sample(ended(), process.memory_info().rss / MIB))
            await asyncio.sleep(SAMPLE_EVERY_S)


@asynccontextmanager
async def fleet(environment: Mapping[str, str], size: int) -> AsyncIterator[Fleet]:
    """So many workers, all of them up, that do not outlive the block."""
    async with AsyncExitStack() as stack:
        workers = []
        for _ in range(size):
            own = {**environment, "AMENDS_HEALTH_ADDRESS": free_address()}
            workers.append(await stack.enter_async_context(worker_process(own)))
        for worker in workers:
            await worker.start()
        for worker in workers:
            await worker.until_health(200)
        yield Fleet(workers)
