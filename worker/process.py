"""The process of a worker: connects, serves its health, works until it gets a signal to stop."""

import asyncio
import gc
import logging
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import psycopg
from psycopg.errors import InvalidSchemaName, UndefinedFunction
from sqlalchemy.exc import DBAPIError, OperationalError
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.adapters.mock import create_mock_bank
from activities.run_watch import RunWatch
from activities.runs import namespace_id
from ledger.database import Database, describe
from ledger.errors import DatabaseUnavailable, EndedBySetting, MigrationRefused, TableBusy
from ledger.migrations.partitions import create_partitions, has_this_month
from ledger.migrations.upgrade import upgrade
from ledger.read.snapshot_writer import SnapshotMaker
from ledger.read.subscription import announce
from ledger.session import setting_behind, shortage
from ledger.store.rehearsal import rehearse
from worker.errors import Unreachable
from worker.health import serve_health
from worker.search_attributes import SEARCH_ATTRIBUTES, register_search_attributes
from worker.settings import Settings, SettingsError, needed
from worker.sweep_schedule import SCHEDULE, keep_schedule
from worker.wiring import QUEUES, connect, wire
from workflows.contract.kinds import KINDS

log = logging.getLogger("amends.worker")

# Partitions are made months ahead, so that a day on which this fails does no harm.
PARTITIONS_AHEAD_MONTHS = 3
PARTITIONS_EVERY = timedelta(hours=6)
# Readers of a long aggregate fold what came since the last one, and nobody else waits for it.
SNAPSHOTS_EVERY = timedelta(minutes=1)
# People look at the lists right after a run was terminated or paused.
RUNS_EVERY = timedelta(seconds=5)
# Somebody may have deleted it.
SCHEDULE_EVERY = timedelta(minutes=10)


async def migrate(settings: Settings) -> str:
    """Migrate the ledger, and the mock bank where one is configured, to this version."""
    try:
        url = needed(settings.migration_url, "AMENDS_MIGRATION_URL")
        revision = await asyncio.to_thread(upgrade, url)
        if settings.payment_adapter == "mock" and settings.mock_bank_url:
            await create_mock_bank(settings.mock_bank_url)
    except TableBusy as error:
        raise Unreachable(f"the migration waited in vain: {error}") from None
    except MigrationRefused as error:
        raise SettingsError(
            f"the ledger of AMENDS_MIGRATION_URL is not migrated: {error}"
        ) from None
    except (psycopg.Error, DBAPIError) as error:
        cause = getattr(error, "orig", None) or error
        if (setting := setting_behind(cause)) is not None:
            raise SettingsError(
                f"settings: {setting} is in the way of the migration; change it where it is set "
                "(the address, PGOPTIONS and its like, ALTER ROLE, ALTER DATABASE)"
            ) from None
        if (sentence := shortage(getattr(error, "orig", None) or error)) is not None:
            raise Unreachable(f"the migration failed: {sentence}") from None
        if not isinstance(error, (psycopg.OperationalError, OperationalError)):
            raise
        if getattr(cause, "sqlstate", None) is not None:
            # Operational all the same: a full disk, or a server that stops.
            raise Unreachable(
                f"the migration was ended by the server ({describe(cause)}): see its log, and "
                "repeat the migration"
            ) from None
        raise Unreachable(
            "the database of AMENDS_MIGRATION_URL or AMENDS_MOCK_BANK_URL can't be reached "
            f"({type(error).__name__}): start it, or correct the setting"
        ) from None
    return revision


async def run(
    settings: Settings,
    queues: Sequence[str] = QUEUES,
    health_listener: int | None = None,
    known_namespace: str | None = None,
) -> None:
    """Work until SIGTERM or SIGINT, then finish what runs and leave.

    health_listener: the file descriptor of a listener at the health address, where who started us
    has opened it. known_namespace: the id of the namespace, where who started us knows it. Raises
    Unreachable when Temporal can't be reached, or is another one than at the beginning.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = await _temporal(settings)
    temporal = await _same_temporal(client, known_namespace, stop)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(wire(settings, client, queues))
        await first_partitions(running.database)
        await _register(client)
        await _schedule(client, settings)
        probes = {
            "database": lambda: rehearse(running.database),
            "temporal": temporal.ask,
        }
        host, port = settings.health_host, settings.health_port
        await stack.enter_async_context(serve_health(host, port, probes, health_listener))
        snapshots = SnapshotMaker(running.database)
        runs = RunWatch(running.database, client, [kind.workflow for kind in KINDS])
        for beside in (
            _repeat(PARTITIONS_EVERY, "make partitions", lambda: _partitions(running.database)),
            _repeat(SCHEDULE_EVERY, "keep schedules", lambda: keep_schedule(client, settings)),
            _repeat(SNAPSHOTS_EVERY, "make snapshots", snapshots.make),
            _repeat(RUNS_EVERY, "look for closed runs", runs.look),
            announce(running.database),
        ):
            stack.callback(asyncio.create_task(beside).cancel)
        spare_the_collector()
        await work(running.workers, stop)
    if temporal.other is not None:
        raise temporal.other


def spare_the_collector() -> None:
    """Exempt all that was loaded to begin with from the garbage collector: it stays. Looked through
    again and again, it stops everything for a tenth of a second at a time."""
    gc.collect()
    gc.freeze()


async def work(workers: Sequence[Worker], stop: asyncio.Event) -> None:
    """Run the workers until `stop`; a worker that fails stops the others and is raised."""
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    stopping = asyncio.create_task(stop.wait())
    log.info("the worker listens on %s", ", ".join(worker.task_queue for worker in workers))
    await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    log.info("the worker finishes running tasks and stops")
    await asyncio.gather(*(worker.shutdown() for worker in workers))
    await asyncio.gather(*tasks)


async def _temporal(settings: Settings) -> Client:
    try:
        return await connect(settings)
    except RuntimeError as error:
        raise Unreachable(
            "Temporal can't be reached: start it, or correct TEMPORAL_ADDRESS"
        ) from error


class SameTemporal:
    """The Temporal that a worker began with, known by the id of the namespace.

    Another server may answer under the address later, and hand out work that nobody asked for: a
    database of Temporal's that was made anew, or a stranger's server on a port that was free.
    """

    def __init__(self, client: Client, namespace: str, stop: asyncio.Event) -> None:
        self._client, self._namespace, self._stop = client, namespace, stop
        self.other: Unreachable | None = None

    async def ask(self) -> None:
        """Ask for the namespace id. Another one stops the work and raises Unreachable."""
        here = await namespace_id(self._client)
        if here != self._namespace:
            self.other = Unreachable(
                f"another Temporal answers under this address: namespace id {here}, and this "
                f"worker began with {self._namespace}: look who listens there, and start again"
            )
            self._stop.set()
            raise self.other


async def _same_temporal(client: Client, known: str | None, stop: asyncio.Event) -> SameTemporal:
    try:
        temporal = SameTemporal(client, known or await namespace_id(client), stop)
        await temporal.ask()
    except RPCError as error:
        raise Unreachable(
            f"the namespace {client.namespace} can't be described ({error.status.name}): make it, "
            "or correct TEMPORAL_NAMESPACE"
        ) from None
    return temporal


async def first_partitions(database: Database) -> None:
    """Make the partitions that are missing: the first use of the database. Only that of this month
    is needed. Raises Unreachable, and SettingsError where a setting is in the way."""
    try:
        try:
            await _partitions(database)
        except EndedBySetting:
            raise
        except DatabaseUnavailable as error:
            if not await has_this_month(database):
                raise
            log.warning("%s", error)
    except EndedBySetting as error:
        raise SettingsError(f"the database of AMENDS_DATABASE_URL: {error}") from None
    except (DatabaseUnavailable, UndefinedFunction, InvalidSchemaName) as error:
        what = error if isinstance(error, DatabaseUnavailable) else describe(error)
        raise Unreachable(
            f"the database of AMENDS_DATABASE_URL can't be used ({what}): start it, migrate it "
            "(`amends migrate`), or correct the setting"
        ) from None


async def _register(client: Client) -> None:
    try:
        await register_search_attributes(client)
    except RPCError as error:
        raise Unreachable(
            f"the search attributes {', '.join(SEARCH_ATTRIBUTES)} can't be registered in the "
            f"namespace {client.namespace} ({error.status.name}): register them yourself"
        ) from None


async def _schedule(client: Client, settings: Settings) -> None:
    try:
        await keep_schedule(client, settings)
    except RPCError as error:
        raise Unreachable(
            f"the schedule {SCHEDULE} of the sweeper can't be kept in the namespace "
            f"{client.namespace} ({error.status.name}): let the worker create schedules"
        ) from None


async def _partitions(database: Database) -> None:
    await create_partitions(database, PARTITIONS_AHEAD_MONTHS)


async def _repeat(every: timedelta, what: str, chore: Callable[[], Awaitable[object]]) -> None:
    told = ""
    while True:
        # Not all workers at once.
        await asyncio.sleep(every.total_seconds() * random.uniform(0.8, 1.2))
        try:
            await chore()
            told = ""
        except Exception as error:  # noqa: BLE001 - no chore is urgent: each is tried again
            # Of an outage once, however often it is tried.
            if told != (told := type(error).__name__):
                log.warning("the worker could not %s (%s): it tries again", what, told)
