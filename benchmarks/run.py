"""One measured run, and many of them in turn: a machine is never equally fast for long."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import psutil

# A session that ends is counted where its server has seen the end of it.
_SESSIONS_END_S = 1.0


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
                before = await self._spent(sessions=None)
                found = await work()
                after = await self._spent(sessions=before.sessions)
                runs[name].append(replace(found, server_cpu_s=after.cpu_s - before.cpu_s))
        return Measured({name: found[self._count > 1 :] for name, found in runs.items()})

    async def _spent(self, *, sessions: int | None) -> "_Spent":
        """What the server has spent, when no more than so many sessions are left."""
        deadline = time.monotonic() + _SESSIONS_END_S
        while True:
            now = _spent(self._server)
            if sessions is None or now.sessions <= sessions or time.monotonic() > deadline:
                return now
            await asyncio.sleep(0.01)


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


@dataclass(frozen=True)
class _Spent:
    """Processor time of a server and its processes, those that have ended too."""

    cpu_s: float
    sessions: int


def _spent(server: psutil.Process) -> _Spent:
    own, living, sessions = server.cpu_times(), 0.0, 0
    for session in server.children():
        try:
            times = session.cpu_times()
        except psutil.NoSuchProcess:
            continue
        living, sessions = living + times.user + times.system, sessions + 1
    ended = own.children_user + own.children_system
    return _Spent(float(own.user + own.system + ended + living), sessions)
