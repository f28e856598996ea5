"""What payments, changes and sagas of five steps cost, beside another build of the product, which
is a folder with its files: `python -m benchmarks beside --build FOLDER`."""

import asyncio
import json
import os
import statistics
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.part import Part
from benchmarks.table import Table, factor

ROOT = Path(__file__).parent.parent
PROGRAM = Path(__file__).with_name("beside_program.py")
THIS, OTHER = "this build", "the other"
FIVE, ONE = "five_commits", "one_commit"
# What is asked for, what the other build does in its place, and the aims: processor time, rate and
# p50, as a share of the other's. A saga of five steps in one commit is new.
KINDS: tuple[tuple[str, str, float, float | None, float | None], ...] = (
    (FIVE, FIVE, 0.55, 1.7, 0.58),
    (ONE, FIVE, 0.45, 2.0, 0.45),
    ("payment", "payment", 0.6, None, 0.65),
    ("change", "change", 0.65, None, None),
)
MEMORY_AIM = 0.6
# So many times fewer of these are measured.
SHARE = {"change": 4}


@dataclass(frozen=True)
class Size:
    """How many of each kind, alone and at once, in each of so many rounds; and how many payments
    wait for a person."""

    alone: int
    together: int
    at_once: int
    rounds: int
    waiting: int


WHOLE, SMALL = Size(60, 400, 50, 3, 10_000), Size(2, 6, 3, 1, 20)


@dataclass(frozen=True)
class Found:
    """One kind in one round: milliseconds of processor time of each saga by who spent it, sagas a
    second with many at once, and the p50 of one at a time in milliseconds."""

    cpu_ms: dict[str, float]
    per_s: float
    p50_ms: float

    @property
    def all_ms(self) -> float:
        return sum(self.cpu_ms.values())


class Build:
    """A build of the product, at work in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, folder: Path) -> "Build":
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
        )
        build = cls(process)
        await build._line()
        return build

    async def ask(self, what: str, count: int, at_once: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what} {count} {at_once}\n".encode())
        found: dict[str, Any] = json.loads(await self._line())
        return found

    async def measure(self, what: str, size: Size) -> Found:
        # A change is that of several resources.
        parts = SHARE.get(what, 1)
        together = max(size.together // parts, 1)
        alone = await self.ask(what, max(size.alone // parts, 1), 1)
        many = await self.ask(what, together, size.at_once)
        cpu_ms = {who: s / together * 1_000 for who, s in many["spent_s"].items()}
        return Found(cpu_ms, together / many["s"], alone["p50_ms"])

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        if line := await self._process.stdout.readline():
            return line
        raise RuntimeError(f"a build ended with status {await self._process.wait()}")


@asynccontextmanager
async def both(other: Path) -> AsyncIterator[dict[str, Build]]:
    """Both builds at work, by name."""
    async with AsyncExitStack() as stack:
        builds: dict[str, Build] = {}
        for name, folder in ((THIS, ROOT), (OTHER, other)):
            builds[name] = await Build.start(folder)
            stack.push_async_callback(builds[name].stop)
        yield builds


async def measure(other: Path, size: Size) -> AsyncGenerator[Part, None]:
    """Both builds in turn, round after round; then the memory of sagas that wait."""
    async with both(other) as builds:
        wanted = {THIS: {ours for ours, *_ in KINDS}, OTHER: {theirs for _, theirs, *_ in KINDS}}
        found: dict[tuple[str, str], list[Found]] = {}
        for number in range(size.rounds + 1):
            for what in dict.fromkeys(
                name for ours, theirs, *_ in KINDS for name in (ours, theirs)
            ):
                for name in (THIS, OTHER) if number % 2 else (OTHER, THIS):
                    if what in wanted[name]:
                        measured = await builds[name].measure(what, size)
                        found.setdefault((name, what), []).append(measured)
        # The first round warms up.
        counted = {key: rounds[size.rounds > 1 :] for key, rounds in found.items()}
        yield Part("Beside another build", _table(counted), [])
        yield Part("Beside another build, as shares of it", _shares(counted), [])
        grown = {}
        for name, build in builds.items():
            asked = await build.ask("waiting", size.waiting, size.at_once)
            grown[name] = asked["grown_bytes"] / size.waiting / 1_000
        yield Part("Sagas that wait for a person", _memory(grown, size), [])


def _table(found: dict[tuple[str, str], list[Found]]) -> Table:
    who = list(next(iter(found.values()))[0].cpu_ms)
    table = Table(f"what | build | a second | p50 ms | {' ms | '.join(who)} ms | all ms")
    for (name, what), rounds in found.items():
        table.add(
            what.replace("_", " "),
            name,
            f"{statistics.median(each.per_s for each in rounds):.1f}",
            f"{statistics.median(each.p50_ms for each in rounds):.1f}",
            *(f"{statistics.median(each.cpu_ms[of] for each in rounds):.1f}" for of in who),
            f"{statistics.median(each.all_ms for each in rounds):.1f}",
        )
    return table


def _shares(found: dict[tuple[str, str], list[Found]]) -> Table:
    """The median of the rounds, each compared with itself."""
    table = Table("this build | the other | processor time | a second | p50")
    for ours, theirs, cpu, rate, p50 in KINDS:
        pairs = list(zip(found[THIS, ours], found[OTHER, theirs], strict=True))
        table.add(
            ours.replace("_", " "),
            theirs.replace("_", " "),
            factor(statistics.median(a.all_ms / b.all_ms for a, b in pairs), cpu),
            factor(statistics.median(a.per_s / b.per_s for a, b in pairs), rate),
            factor(statistics.median(a.p50_ms / b.p50_ms for a, b in pairs), p50),
        )
    return table


def _memory(grown: dict[str, float], size: Size) -> Table:
    table = Table("build | sagas | kB of the worker for each")
    for name, kilobytes in grown.items():
        table.add(name, f"{size.waiting:,}", f"{kilobytes:.1f}")
    share = grown[THIS] / grown[OTHER] if grown[OTHER] else 0.0
    table.add("share", "", factor(share, MEMORY_AIM))
    return table
