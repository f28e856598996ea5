"""The worker: `python -m examples.orders.worker FILE`, with the settings of `amends env`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from examples.orders.activities import OrderActivities
from examples.orders.saga import OrderSaga
from examples.orders.warehouse import Warehouse
from ledger.database import Database, open_database
from worker.settings import Settings, needed
from worker.wiring import connect, worker

QUEUE = "orders"


@asynccontextmanager
async def working(client: Client, database: Database, warehouse: Warehouse) -> AsyncIterator[None]:
    """A worker on the task queue `orders`, while the block runs."""
    activities = [
        SagaActivities(database, client),
        StepRecords(database),
        OrderActivities(database, warehouse),
    ]
    signed = database.signing.required
    async with worker(client, QUEUE, [OrderSaga], activities, signed=signed):
        yield


async def main(file: Path) -> None:
    """Work until Ctrl-C."""
    settings = Settings.from_environment(os.environ, needs=())
    client = await connect(settings)
    url = needed(settings.database_url, "AMENDS_DATABASE_URL")
    async with (
        open_database(
            url, pooling=settings.pooling, writes=True, signing=settings.signing
        ) as database,
        working(client, database, Warehouse(file)),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
