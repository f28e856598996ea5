"""Rounds of load, kills and attacks in SQL on one `amends up`, and the laws at the end."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

import psutil
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from temporalio.client import Client
from temporalio.service import RetryConfig

from tests.attack.laws import LAWS, Row, Scene, broken
from tests.attack.load import Clients, persist
from tests.attack.plan import Attack, Json, Plan, Round, first_stories
from tests.embedded.amends_up import DEADLINE_S, Running, begin

URLS = {"worker": "AMENDS_DATABASE_URL", "auditor": "AMENDS_AUDIT_URL"}
NOT_A_WORKERS = ("AMENDS_MIGRATION_URL", "AMENDS_AUDIT_URL")
# The classes of SQLSTATEs of a server that comes or goes.
_IS_DOWN = ("08", "53", "57")
# Longer than a transaction of ours may last, and an activity stay silent.
FROZEN_S = 11.0
REFUSED = "an attack in SQL by worker or auditor is refused"


@dataclass
class Outcome:
    """What became of it; `broken` by the sentences of the laws."""

    rounds: int = 0
    sagas: int = 0
    attacks: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    broken: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        laws = len(self.broken)
        return f"{self.rounds} rounds, {self.attacks} attacks, {laws} laws broken"


class Place:
    """One data folder, and the `amends up` that serves it until it is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.up: Running | None = None

    async def start(self) -> None:
        process = await begin(self.folder, worker=True)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 2 * DEADLINE_S)
        assert line, (await process.communicate())[1].decode()
        self.up = Running(self.folder, process, {})

    async def kill(self, victim: str) -> bool:
        """SIGKILL, as soon as the victim runs; whoever is supervised comes back by itself. False
        where it did not run."""
        assert self.up is not None
        if victim == "supervisor":
            await self.up.signal(signal.SIGKILL)
            await self.start()
            return True
        process = await self._process(victim.removeprefix("frozen "))
        if process is None:
            return False
        if victim != "frozen worker":
            process.kill()
            return True
        process.suspend()
        try:
            # Somebody goes on with the sagas meanwhile, so that what wakes up finds them elsewhere.
            async with self.worker():
                await asyncio.sleep(FROZEN_S)
        finally:
            process.resume()
        return True

    async def _process(self, name: str) -> psutil.Process | None:
        """A process of this name that runs, or None where none comes up in time."""
        assert self.up is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    with suppress(KeyError, psutil.NoSuchProcess):
                        process = psutil.Process(self.up.servers()[name])
                        if process.status() != psutil.STATUS_ZOMBIE:
                            return process
                    await asyncio.sleep(0.05)
        return None

    @asynccontextmanager
    async def worker(
        self, *module: str, settings: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[Process]:
        """One more worker, as another machine would have it, until the end of the block: by the
        module with its arguments, or by the product's."""
        assert self.up is not None
        theirs = {n: v for n, v in os.environ.items() if not n.startswith("TEMPORAL_")}
        for_it = {n: v for n, v in self.up.environment.items() if n not in NOT_A_WORKERS}
        address = {"AMENDS_HEALTH_ADDRESS": "127.0.0.1:0"}
        with (self.folder / "logs" / "beside.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *(module or ("worker", "run"))),
                env={**theirs, **for_it, **address, **settings},
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def stop(self) -> None:
        if self.up is not None and self.up.process.returncode is None:
            await self.up.signal(signal.SIGINT)

    def setting(self, name: str) -> str:
        assert self.up is not None
        return self.up.environment[name]

    def superuser_url(self, cluster: str, database: str) -> str:
        """Of a cluster of this folder: no role of Amends may damage a ledger."""
        secret = {"postgres": "postgres", "target": "target_postgres"}[cluster]
        password = self._kept("secrets")[secret]
        port = self._kept("ports")[cluster]
        return f"postgresql://postgres:{password}@127.0.0.1:{port}/{database}"

    def _kept(self, name: str) -> Json:
        found: Json = json.loads((self.folder / f"{name}.json").read_text())
        return found


@asynccontextmanager
async def attacked(plan: Plan) -> AsyncIterator[tuple[Place, Clients, Outcome]]:
    """The place after all rounds, with everything up, and what became of it."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="amends-attack-") as folder:
        place = Place(Path(folder) / "data")
        await place.start()
        try:
            # Each try is counted by us: a no after one whose answer was lost is no refusal.
            client = await Client.connect(
                place.setting("TEMPORAL_ADDRESS"), retry_config=RetryConfig(max_retries=1)
            )
            clients = Clients(client, place.setting("AMENDS_MOCK_BANK_URL"))
            await clients.carry_out(first_stories())
            for each in plan.drawn():
                await _round(place, clients, each, outcome)
                if outcome.rounds % 10 == 0:
                    print(f"{outcome.rounds} rounds, {len(clients.results)} sagas", flush=True)
            outcome.ends = Counter(
                [*(str(each["state"]) for each in clients.results.values())]
                + [f"failed: {each}" for each in clients.failures.values()]
            )
            outcome.sagas = outcome.ends.total()
            async with scene(place, clients) as looked_at:
                outcome.broken |= await broken(looked_at)
            yield place, clients, outcome
        finally:
            await place.stop()


async def _round(place: Place, clients: Clients, drawn: Round, outcome: Outcome) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(clients.carry_out(drawn.stories))
        tasks.create_task(_attack(place, drawn.attacks, outcome))
        await asyncio.sleep(drawn.after_s)
        outcome.kills[drawn.victim] += await place.kill(drawn.victim)
    outcome.rounds += 1


async def _attack(place: Place, attacks: Sequence[Attack], outcome: Outcome) -> None:
    """Statements that these roles may not carry out, while the product works."""
    for each in attacks:
        found = await persist(partial(_try, place, each))
        outcome.attacks += 1
        if found != each.state:
            outcome.broken.setdefault(REFUSED, []).append(f"{each.name}: {found}")


async def _try(place: Place, attack: Attack) -> str:
    """The SQLSTATE of the refusal, or `done`. Raises psycopg.OperationalError while it is down."""
    url = place.setting(URLS[attack.role])
    async with await AsyncConnection.connect(url) as connection:
        try:
            await connection.execute(attack.statement.encode())
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(_IS_DOWN):
                raise
            return error.sqlstate
        await connection.rollback()
        return "done"


@asynccontextmanager
async def scene(place: Place, clients: Clients) -> AsyncIterator[Scene]:
    """All that the laws look at, each in one transaction of a superuser that is rolled back."""
    where = (("postgres", "amends"), ("postgres", "mock_bank"), ("target", "postgres"))
    async with AsyncExitStack() as stack:
        opened = []
        for cluster, database in where:
            url = place.superuser_url(cluster, database)
            opened.append(await persist(partial(_connect, url)))
            stack.push_async_callback(opened[-1].close)
        ledger, bank, target = opened
        told = [(each.saga_id, each.verb, each.actor, each.answer) for each in clients.decisions]
        known = (clients.requests, clients.results, clients.failures, told)
        yield Scene(ledger, bank, target, clients.began, *known)


async def _connect(url: str) -> AsyncConnection[Row]:
    connection = await AsyncConnection.connect(url, row_factory=dict_row)
    await connection.execute("SET timezone = 'UTC'")
    await connection.commit()
    return connection


def told(plan: Plan, outcome: Outcome) -> str:
    """The outcome in lines; the last one is the count."""
    kills = ", ".join(f"{name} {count}" for name, count in sorted(outcome.kills.items()))
    ends = ", ".join(f"{name} {count}" for name, count in sorted(outcome.ends.items()))
    laws = [
        f"{'BROKEN' if sentence in outcome.broken else 'holds '}  {sentence}"
        + "".join(f"\n        {name}" for name in outcome.broken.get(sentence, [])[:10])
        for sentence in (*LAWS, REFUSED)
    ]
    head = f"seed {plan.seed}: {outcome.sagas:,} sagas ended ({ends}); killed: {kills}"
    return "\n".join([head, *laws, str(outcome)])
