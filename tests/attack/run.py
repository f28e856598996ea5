"""Rounds of load, kills and attacks in SQL on one `amends up`, and the laws at the end."""

import asyncio
import json
import random
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from temporalio.client import Client

from tests.attack.laws import LAWS, Row, Scene, broken
from tests.attack.load import Clients, Json, persist
from tests.embedded.amends_up import DEADLINE_S, Running, begin
from tests.ledger.attacks.refused import refused

VICTIMS = ("worker", "postgres", "temporal", "target", "supervisor")
ATTACKS_A_ROUND = 4
# The classes of SQLSTATEs of a server that comes or goes.
_IS_DOWN = ("08", "53", "57")
REFUSED = "an attack in SQL by worker or auditor is refused"


@dataclass(frozen=True)
class Plan:
    """So many rounds, of so many sagas each; all chance comes from the seed."""

    rounds: int
    sagas: int
    seed: int


@dataclass
class Outcome:
    """What became of it; `broken` by the sentences of the laws."""

    sagas: int = 0
    attacks: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    broken: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        laws = len(self.broken)
        return f"{self.kills.total()} rounds, {self.attacks} attacks, {laws} laws broken"


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

    async def kill(self, victim: str) -> None:
        """SIGKILL; whoever is supervised comes back by itself."""
        assert self.up is not None
        if victim == "supervisor":
            await self.up.signal(signal.SIGKILL)
            await self.start()
            return
        with suppress(KeyError, psutil.NoSuchProcess):
            psutil.Process(self.up.servers()[victim]).kill()

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
    dice, outcome = random.Random(plan.seed), Outcome()
    with tempfile.TemporaryDirectory(prefix="amends-attack-") as folder:
        place = Place(Path(folder) / "data")
        await place.start()
        try:
            client = await Client.connect(place.setting("TEMPORAL_ADDRESS"))
            clients = Clients(client, place.setting("AMENDS_MOCK_BANK_URL"), dice)
            await clients.prepare()
            victims = _victims(dice)
            for number in range(1, plan.rounds + 1):
                await _round(place, clients, plan, next(victims), outcome)
                if number % 10 == 0:
                    print(f"{number} rounds, {len(clients.results)} sagas", flush=True)
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


def _victims(dice: random.Random) -> Iterator[str]:
    """All in turn, in another order each time: who is killed again and again within a minute is
    started again later and later, until the supervisor is a new one."""
    while True:
        yield from dice.sample(VICTIMS, k=len(VICTIMS))


async def _round(place: Place, clients: Clients, plan: Plan, victim: str, outcome: Outcome) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(clients.round(plan.sagas))
        tasks.create_task(_attack(place, clients.dice, outcome))
        await asyncio.sleep(clients.dice.uniform(0.05, 1.5))
        await place.kill(victim)
        outcome.kills[victim] += 1


async def _attack(place: Place, dice: random.Random, outcome: Outcome) -> None:
    """Statements that these roles may not carry out, while the product works."""
    for _ in range(ATTACKS_A_ROUND):
        role, url = dice.choice(
            (("worker", "AMENDS_DATABASE_URL"), ("auditor", "AMENDS_AUDIT_URL"))
        )
        name, state, statement = dice.choice([*refused(role)])

        async def attack(url: str = url, statement: str = statement) -> str:
            async with await AsyncConnection.connect(place.setting(url)) as connection:
                try:
                    await connection.execute(statement.encode())
                except psycopg.Error as error:
                    if error.sqlstate is None or error.sqlstate.startswith(_IS_DOWN):
                        raise
                    return error.sqlstate
                await connection.rollback()
                return "done"

        found = await persist(attack)
        outcome.attacks += 1
        if found != state:
            outcome.broken.setdefault(REFUSED, []).append(f"{role}: {name}: {found}")


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
        yield Scene(ledger, bank, target, clients.results, clients.failures)


async def _connect(url: str) -> AsyncConnection[Row]:
    connection = await AsyncConnection.connect(url, row_factory=dict_row)
    await connection.execute("SET timezone = 'UTC'")
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
