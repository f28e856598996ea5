"""Prints the tables of the parts: `python -m benchmarks [PART] [--small]`, of all without a PART.

The exit status is 1 when a ledger does not verify afterwards.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from benchmarks import beside, decisions, ledger, payments, reconcile, sagas, start
from benchmarks.part import Part
from worker.embedded.servers import EmbeddedServers


async def main(what: str, small: bool, build: Path | None) -> int:
    """Print each part as it is done."""
    if what == "beside":
        assert build is not None
        size = beside.SMALL if small else beside.WHOLE
        return await _print([beside.measure(build, size)])
    if build is not None:
        size_of = decisions.SMALL if small else decisions.WHOLE
        if await _print([decisions.measure(build, size_of)]):
            return 1
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        async with EmbeddedServers(Path(folder) / "servers", guarded=False) as servers:
            return await _print(_parts(servers, what, small))


async def _print(all_parts: list[AsyncGenerator[Part, None]]) -> int:
    findings = 0
    for parts in all_parts:
        async with aclosing(parts):
            async for part in parts:
                print(f"## {part.title}\n\n{part.table}\n", flush=True)
                for found in part.findings:
                    print(found, file=sys.stderr, flush=True)
                findings += len(part.findings)
    return 1 if findings else 0


def _parts(servers: EmbeddedServers, what: str, small: bool) -> list[AsyncGenerator[Part, None]]:
    parts = []
    if what in ("ledger", "all"):
        parts.append(ledger.measure(servers, ledger.SMALL if small else ledger.WHOLE))
    if what in ("payments", "all"):
        parts.append(payments.measure(servers))
    if what in ("sagas", "all"):
        parts.append(sagas.measure(servers, sagas.SMALL if small else sagas.WHOLE))
    if what in ("start", "all"):
        parts.append(start.measure(servers, start.SMALL if small else start.WHOLE))
    if what in ("reconcile", "all"):
        parts.append(reconcile.measure(servers, reconcile.SMALL if small else reconcile.WHOLE))
    return parts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("ledger", "payments", "sagas", "start", "reconcile", "beside", "all"),
        default="all",
    )
    parser.add_argument(
        "--build",
        type=lambda text: Path(text).absolute(),
        help="of beside and payments: the folder of another build, such as a worktree",
    )
    parser.add_argument(
        "--small", action="store_true", help="little of the ledger and of the sagas, to try it out"
    )
    arguments = parser.parse_args()
    if arguments.what == "beside" and arguments.build is None:
        parser.error("beside needs --build FOLDER")
    if arguments.build is not None and arguments.what not in ("beside", "payments"):
        parser.error("only beside and payments take --build FOLDER")
    return arguments


if __name__ == "__main__":
    arguments = _arguments()
    status = asyncio.run(main(arguments.what, arguments.small, arguments.build))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK's core may abort an interpreter that is going down.
    os._exit(status)
