"""`python -m benchmarks.reconcile_program FILE`: compares a file with the transfers of the ledger
of AMENDS_AUDIT_URL in a process of its own, and prints as JSON how long it took and in how much
memory."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from activities.statement_files import compare_file
from activities.statements.periods import Coverage, periods_of
from benchmarks.reader import peak_mb
from ledger.database import open_database


async def main(path: Path) -> dict[str, Any]:
    async with open_database(os.environ["AMENDS_AUDIT_URL"], size=2) as database:
        began, worked = time.perf_counter(), time.process_time()
        with path.open("rb") as file:
            compared = await compare_file(
                file,
                database,
                "mock",
                str,
                UTC,
                lambda statements: Coverage(periods_of(statements), timedelta()),
                at_most=100_000,
            )
        seconds = time.perf_counter() - began
        processor_s = time.process_time() - worked
    kinds = Counter(each.kind for each in compared.outcome.differences)
    return {
        "seconds": seconds,
        "processor_s": processor_s,
        "peak_mb": peak_mb(),
        "kinds": dict(kinds),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
