"""`python -m starter.demo`: start the servers, run the tour, verify, stop. KEEP=1 keeps them up;
BIND=1 pays by the adapter `bind`, at the BIND simulator."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from ledger.database import open_database
from starter.client.client import Amends
from starter.client.errors import AmendsError
from starter.demo.banks import BindSimulated, MockBankTables
from starter.demo.errors import DemoServersFailed
from starter.demo.scenes import tour
from starter.demo.servers import DemoServers
from starter.demo.stage import Stage, Surprise

DATA, BIND_DATA = Path(".amends/demo"), Path(".amends/demo-bind")


async def main(keep: bool, bind: bool) -> int:
    """Run the tour; returns the exit status: 0 when every scene went as announced and the ledger
    verifies."""
    if keep and bind:
        print("BIND=1 goes without KEEP=1: the simulator ends with the tour", file=sys.stderr)
        return 2
    console = Console(highlight=False)
    console.print("[bold]Amends: a tour on real servers[/bold] (PostgreSQL, Temporal, a worker)")
    try:
        async with AsyncExitStack() as stack:
            simulated = await stack.enter_async_context(BindSimulated()) if bind else None
            settings = simulated.settings if simulated else {}
            data = BIND_DATA if bind else DATA
            servers = DemoServers(data, keep, console, settings)
            await stack.enter_async_context(servers)
            given = servers.environment
            amends = await stack.enter_async_context(Amends.connect(given))
            database = await stack.enter_async_context(open_database(given["AMENDS_AUDIT_URL"]))
            bank = simulated or MockBankTables(given["AMENDS_MOCK_BANK_URL"])
            await tour(Stage(amends, database, servers, bank, console))
    except (Surprise, AmendsError, DemoServersFailed) as error:
        console.print(f"[red]the tour stopped: {error}[/red]")
        return 1
    return 0


def run() -> int:
    """Run the tour as a command; returns its exit status."""
    try:
        keep, bind = (bool(os.environ.get(name)) for name in ("KEEP", "BIND"))
        return asyncio.run(main(keep, bind))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    status = run()
    sys.stdout.flush()
    # What the client had under way ends with the process; the interpreter would only complain.
    os._exit(status)
