"""`python -m benchmarks.reader verify PROCESSES` or `... log`: reads all of the ledger of
AMENDS_AUDIT_URL in a process of its own, and prints as JSON how fast and in how much memory."""

import asyncio
import json
import os
import resource
import sys
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path

from ledger.audit.verify import verify
from ledger.database import Database, open_database
from ledger.read.log import stream


@dataclass(frozen=True)
class Read:
    """So many events, how long it took, the most memory a process of it held, and findings."""

    events: int
    elapsed_s: float
    peak_mb: float
    findings: list[str]

    @property
    def per_s(self) -> float:
        return self.events / self.elapsed_s


async def read(url: str, *arguments: str) -> Read:
    """Run it. Raises RuntimeError when it fails; it has said why."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.reader", *arguments),
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"AMENDS_AUDIT_URL": url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"reader {' '.join(arguments)} ended with status {process.returncode}")
    return Read(**json.loads(out))


async def _verify(database: Database, processes: int) -> tuple[int, list[str]]:
    verified = await verify(database, processes=processes)
    return verified.events, [found.message for found in verified.findings]


async def _log(database: Database) -> tuple[int, list[str]]:
    events = 0
    async with aclosing(stream(database)) as found:
        async for _ in found:
            events += 1
    return events, []


async def _main(what: str, *arguments: str) -> Read:
    async with open_database(os.environ["AMENDS_AUDIT_URL"], size=2) as database:
        began = time.perf_counter()
        events, findings = await (
            _verify(database, int(arguments[0])) if what == "verify" else _log(database)
        )
        elapsed_s = time.perf_counter() - began
    return Read(events, elapsed_s, peak_mb(), findings)


def peak_mb() -> float:
    """Of this process, or of one that it started, if that held more."""
    # Kilobytes on Linux, bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    own, started = (
        resource.getrusage(who).ru_maxrss / unit
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux the number above begins with what the process held that started this one.
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        own = int(line.split()[1]) / 2**10
    return max(own, started)


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_main(*sys.argv[1:])))))
