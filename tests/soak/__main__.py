"""`python -m tests.soak [--sagas N] [--at-once N] [--kills N] [--workers N] [--trouble-every N]`

On servers of its own, which sync to the disk. The exit status is 1 when a law is broken.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from psycopg import conninfo
from temporalio.client import Client

from activities.adapters.mock import MockBank
from tests.soak.run import Ground, Plan, soak
from tests.soak.told import MOST_GROWTH_MIB, told
from tests.support.driver import Driver
from tests.support.probe import Probe
from worker.embedded.databases import LEDGER_DATABASE
from worker.embedded.servers import EmbeddedServers
from worker.process import migrate
from worker.search_attributes import register_search_attributes
from worker.settings import Settings
from workflows.contract.admission import DATA_CONVERTER

QUEUE = "soak"


async def main(plan: Plan) -> bool:
    """Print the tables; whether all laws hold."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="amends-soak-") as folder:
        async with EmbeddedServers(Path(folder) / "servers") as servers:
            environment = servers.environment()
            await migrate(Settings.from_environment(environment))
            client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
            await register_search_attributes(client)
            superuser_url = conninfo.make_conninfo(servers.main.url(), dbname=LEDGER_DATABASE)
            async with MockBank(servers.mock_bank_url()) as bank:
                audit_url = servers.ledger_url("amends_auditor")
                ground = Ground(
                    environment | {"AMENDS_PAYMENTS_QUEUE": QUEUE},
                    Driver(client, QUEUE),
                    Probe(audit_url, servers.mock_bank_url(), superuser_url),
                    bank,
                    servers=_processes(servers),
                )
                soaked = await soak(ground, plan)
    print(told(plan, soaked))
    print(f"\nAll of it took {time.perf_counter() - began:.0f} s.")
    return not soaked.broken and soaked.memory.growth_mib <= MOST_GROWTH_MIB


def _processes(servers: EmbeddedServers) -> dict[str, psutil.Process]:
    found = {"PostgreSQL": servers.main.process, "Temporal": servers.temporal.process}
    return {name: psutil.Process(process.pid) for name, process in found.items() if process}


def _arguments() -> Plan:
    parser = argparse.ArgumentParser(prog="make soak ARGS=", description=__doc__)
    for name, default in (("sagas", 5_000), ("at-once", 50), ("kills", 3), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--trouble-every", type=int, default=10)
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    holds = asyncio.run(main(_arguments()))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK's core may abort an interpreter that is going down.
    os._exit(0 if holds else 1)
