"""`python -m tests.ledger.rules` prints which attempts get through without each rule.

`--write` puts the table into docs/rules.md. Exit status 1 when a rule is missed by nobody.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from psycopg import AsyncConnection, conninfo

from ledger.database import open_database
from ledger.migrations import upgrade as migrate
from tests.ledger.rules.attempt import Attacked
from tests.ledger.rules.mutate import DOCUMENT, REDUNDANT, Outcome, document, run, table
from tests.ledger.rules.world import fill
from worker.embedded.databases import clone_database
from worker.embedded.servers import EmbeddedServers

NAME = "rules"


async def outcomes_on_new_servers() -> list[Outcome]:
    """Servers, a ledger with the world in it, and the run."""
    with tempfile.TemporaryDirectory(prefix="amends-rules-") as folder:
        async with EmbeddedServers(Path(folder) / "servers", durable=False) as servers:
            # Not the one that is there: in a new one everybody may make temporary tables, which is
            # more than the worker has elsewhere.
            await clone_database(servers.main.url(), "template1", NAME, "amends_owner")
            await asyncio.to_thread(migrate.upgrade, servers.ledger_url("amends_owner", NAME))
            async with open_database(servers.ledger_url("amends_worker", NAME), size=1) as database:
                await fill(database)
            url = conninfo.make_conninfo(servers.main.url(), dbname=NAME)
            async with (
                Attacked({"superuser": url}) as attacked,
                await AsyncConnection.connect(url, prepare_threshold=None) as connection,
            ):
                return await run(connection, attacked.partition)


def main() -> int:
    outcomes = asyncio.run(outcomes_on_new_servers())
    print(table(outcomes))
    if "--write" in sys.argv[1:]:
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(document(text, outcomes), encoding="utf-8")
    missed = {
        outcome.mutant.family
        for outcome in outcomes
        if not outcome.noticed and outcome.mutant.family not in REDUNDANT
    }
    print("\n".join(f"nobody misses: {family}" for family in sorted(missed)))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
