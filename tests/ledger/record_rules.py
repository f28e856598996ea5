"""`python -m tests.ledger.record_rules`: write down the schema that the migrations make.

ledger/rules.json holds a digest of every object of it; `verify` compares a ledger with them. Run
this after every change of the schema.
"""

import asyncio
import json
import tempfile
from pathlib import Path

from ledger.audit.schema_check import RECORDED, rules_of
from ledger.database import open_database
from ledger.migrations import upgrade as migrate
from worker.embedded.servers import EmbeddedServers


def text_of(rules: dict[str, str]) -> str:
    """As it stands in the file: a line for each object, so that two changes merge."""
    return json.dumps(rules, indent=0, sort_keys=True) + "\n"


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="amends-rules-") as folder:
        async with EmbeddedServers(Path(folder) / "servers", durable=False) as servers:
            await asyncio.to_thread(migrate.upgrade, servers.ledger_url("amends_owner"))
            async with (
                open_database(servers.ledger_url("amends_auditor"), size=1) as database,
                database.connection() as connection,
            ):
                RECORDED.write_text(text_of(await rules_of(connection)))


if __name__ == "__main__":
    asyncio.run(main())
