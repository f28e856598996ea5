"""How fast `verify` reads a big ledger, in a process of its own, and how much memory that takes."""

import asyncio
import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass

from ledger.database import open_database
from ledger.verify import verify

_URL = "AMENDS_AUDIT_URL"
# Linux counts in kB, macOS in bytes.
_PER_MB = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True)
class Verification:
    """`seconds` from the first connection to the last finding; `mb` is the most that any one of
    its processes held."""

    events: int
    findings: int
    seconds: float
    mb: int

    @property
    def per_s(self) -> float:
        return self.events / self.seconds


async def verification(auditor_url: str, processes: int) -> Verification:
    """Verify a ledger, with so many processes that share the work."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.verification", str(processes)),
        env=os.environ | {_URL: auditor_url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    if child.returncode != 0:
        raise RuntimeError(f"verify with {processes} processes ended with {child.returncode}")
    return Verification(**json.loads(out))


async def _verify(processes: int) -> Verification:
    began = time.perf_counter()
    async with open_database(os.environ[_URL], size=2) as database:
        verified = await verify(database, processes=processes)
    seconds = time.perf_counter() - began
    largest = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    findings = len(verified.findings) + verified.unlisted
    return Verification(verified.events, findings, seconds, largest // _PER_MB)


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_verify(int(sys.argv[1]))))))
