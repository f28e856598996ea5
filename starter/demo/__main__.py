"""`python -m starter.demo`: start the servers, run the tour, verify, stop. KEEP=1 keeps them up."""

import asyncio
import os
import sys
from pathlib import Path

from rich.console import Console

from ledger.database import open_database
from starter.client.client import Amends
from starter.client.errors import AmendsError
from starter.demo.scenes import tour
from starter.demo.servers import DemoServers, DemoServersFailed
from starter.demo.stage import Stage, Surprise

DATA = Path(".amends/demo")


async def main(keep: bool) -> int:
    """Run the tour; returns the exit status: 0 when every scene went as announced and the ledger
    verifies."""
    console = Console(highlight=False)
    console.print("[bold]Amends: a tour on real servers[/bold] (PostgreSQL, Temporal, a worker)")
    try:
        async with DemoServers(DATA, keep, console) as servers:
            url = servers.environment["AMENDS_AUDIT_URL"]
            async with (
                Amends.connect(servers.environment) as amends,
                open_database(url) as database,
            ):
                await tour(Stage(amends, database, servers, console))
    except (Surprise, AmendsError, DemoServersFailed) as error:
        console.print(f"[red]the tour stopped: {error}[/red]")
        return 1
    return 0


def run() -> int:
    """Run the tour as a command; returns its exit status."""
    try:
        return asyncio.run(main(keep=bool(os.environ.get("KEEP"))))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    status = run()
    sys.stdout.flush()
    # What the client had under way ends with the process; the interpreter would only complain.
    os._exit(status)
