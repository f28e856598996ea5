"""One measured run, and many of them in turn: a machine is never equally fast for long."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import psutil

# A session whose client has left is gone after a few milliseconds.
_GONE_S = 0.05


@dataclass(frozen=True)
class Run:
    """So many commits, how many a second, and the processor time of client and server for all."""

    commits: int
    elapsed_s: float
    per_s: float
    client_cpu_s: float
    server_cpu_s: float = 0.0

    @property
    def client_us(self) -> float:
        """Processor time of the client for each commit."""
        return self.client_cpu_s / self.commits * 1e6

    @property
    def server_us(self) -> float:
        """Processor time of the server for each commit."""
        return self.server_cpu_s / self.commits * 1e6


Work = Callable[[], Awaitable[Run]]


class Rounds:
    """Several kinds of run in turn, round after round; where there are several, the first is a
    warm-up that does not count."""

    def __init__(self, server: psutil.Process, count: int) -> None:
        self._server, self._count = server, count

    async def run(self, works: Mapping[str, Work]) -> "Measured":
        runs: dict[str, list[Run]] = {name: [] for name in works}
        for _ in range(self._count):
            for name, work in works.items():
                before_s = await self._spent_s()
                found = await work()
                spent_s = await self._spent_s() - before_s
                runs[name].append(replace(found, server_cpu_s=spent_s))
        return Measured({name: found[self._count > 1 :] for name, found in runs.items()})

    async def _spent_s(self) -> float:
        """Processor time of the server, when none of its sessions is just going."""
        sessions = None
        while (now := self._server.children()) != sessions:
            sessions = now
            await asyncio.sleep(_GONE_S)
        return cpu_s(self._server)


@dataclass(frozen=True)
class Measured:
    """The runs of each kind, round by round."""

    runs: dict[str, list[Run]]

    def median(self, name: str, of: Callable[[Run], float] = lambda run: run.per_s) -> float:
        return statistics.median(map(of, self.runs[name]))

    def ratio(self, name: str, to: str) -> float:
        """How much faster: the median of the rounds, each compared with itself."""
        pairs = zip(self.runs[name], self.runs[to], strict=True)
        return statistics.median(one.per_s / other.per_s for one, other in pairs)


def cpu_s(server: psutil.Process) -> float:
    """Of a server and its processes, those that have ended too."""
    own, living = server.cpu_times(), 0.0
    for session in server.children():
        try:
            times = session.cpu_times()
        except psutil.NoSuchProcess:
            continue
        living += times.user + times.system
    return float(own.user + own.system + own.children_user + own.children_system + living)
