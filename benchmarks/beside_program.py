"""One build of the product under measure: started with the modules of that build, it does what the
lines of its input say, and answers each with a line of JSON. See `benchmarks.beside`.

The client is a process of its own. Written for builds back to 17eb58d, whose modules have other
names.
"""

import asyncio
import contextlib
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psutil
from temporalio.client import Client

from activities.agents import AgentActivities
from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from benchmarks import five
from ledger.database import open_database
from starter import Amends
from worker import process, wiring
from worker.embedded.servers import EmbeddedServers
from worker.sandbox import runner
from worker.search_attributes import register_search_attributes
from worker.settings import Settings


def _of(module: str, old: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        return getattr(import_module(old), name)


IS_OLD = find_spec("workflows.inputs") is not None
DATA_CONVERTER = _of("workflows.contract.admission", "workflows.border", "DATA_CONVERTER")
AgentRequest = _of("workflows.contract.agent", "workflows.inputs", "AgentRequest")
PolicyRequest = _of("workflows.contract.policy", "workflows.inputs", "PolicyRequest")
ChangeRequest = _of("workflows.contract.change", "workflows.inputs", "ChangeRequest")
PaymentRequest = _of("workflows.contract.payment", "workflows.inputs", "PaymentRequest")

Json = dict[str, Any]
FIVE, AGENT, RESOURCES = "five", "bench", 5
# Above the first a person decides.
THRESHOLD, MOST = 100, 1_000


class Requests:
    """What the client process can ask for, by name."""

    def __init__(self, amends: Amends, client: Client) -> None:
        self._amends, self._client = amends, client

    async def payment(self) -> None:
        """A payment that the policy approves, to its result."""
        await self._amends.result((await self._amends.submit(_payment(THRESHOLD))).saga_id)

    async def decision(self) -> float:
        """A payment that the policy approves, to its result; the milliseconds until `submit`
        answered with the decision."""
        began = time.perf_counter()
        decided = await self._amends.submit(_payment(THRESHOLD))
        took_ms = (time.perf_counter() - began) * 1_000
        await self._amends.result(decided.saga_id)
        return took_ms

    async def waiting(self) -> None:
        """A payment that waits for a person."""
        await self._amends.submit(_payment(THRESHOLD + 1))

    async def change(self) -> None:
        """A change of some roles in an environment of its own, to its result."""
        name = f"x{uuid4().hex[:12]}"
        roles = [
            {"name": f"{name}-{number}", "kind": "postgres.role", "spec": {"login": True}}
            for number in range(RESOURCES)
        ]
        asked = {"operation_id": name, "environment": name, "present": roles, "actor": "user:bench"}
        request = ChangeRequest.model_validate(asked)
        await self._amends.result((await self._amends.submit(request)).saga_id)

    async def five_commits(self) -> None:
        """A saga of five commits, in one activity where the build can do that."""
        await self._five("FiveSteps" if IS_OLD else "FiveApart")

    async def one_commit(self) -> None:
        """The same five steps in one commit."""
        await self._five("FiveInOne")

    async def _five(self, workflow: str) -> None:
        name = f"five-{uuid4().hex[:12]}"
        request = AgentRequest(
            operation_id=name, action="register", agent_id=name, user="user:b", actor="user:b"
        )
        await self._client.execute_workflow(workflow, request, id=f"five/{name}", task_queue=FIVE)


def _payment(minor: int) -> Any:
    return PaymentRequest.model_validate(
        {
            "operation_id": uuid4().hex,
            "agent_id": AGENT,
            "amount": {"minor": minor, "currency": "ARS"},
            "destination": {"cbu": "2850590940090418135201"},
        }
    )


async def be_client() -> None:
    """Ask for sagas as the lines say: `what count at_once`; answers with the p50 and p99 in
    milliseconds, and the seconds of all."""
    environment = dict(os.environ)
    client = await Client.connect(environment["TEMPORAL_ADDRESS"], data_converter=DATA_CONVERTER)
    amends = await Amends.connect(environment)
    await _prepare(amends)
    requests = Requests(amends, client)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        what, count, at_once = line.split()
        one: Callable[[], Awaitable[float | None]] = getattr(requests, what)
        times_ms: list[float] = []
        left = iter(range(int(count)))

        async def lane(
            one: Callable[[], Awaitable[float | None]] = one,
            left: Any = left,
            times_ms: list[float] = times_ms,
        ) -> None:
            for _ in left:
                began = time.perf_counter()
                own_ms = await one()
                times_ms.append(own_ms or (time.perf_counter() - began) * 1_000)

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(int(at_once))))
        took = {
            "p50_ms": statistics.median(times_ms),
            "p99_ms": statistics.quantiles(times_ms, n=100)[98],
            "s": time.perf_counter() - began,
        }
        print(json.dumps(took), flush=True)


async def _prepare(amends: Amends) -> None:
    for request in (
        AgentRequest(
            operation_id="bench-agent",
            action="register",
            agent_id=AGENT,
            user="user:bench",
            actor="user:bench",
        ),
        PolicyRequest(
            operation_id="bench-policy",
            agent_id=AGENT,
            currency="ARS",
            max_per_transaction_minor=MOST,
            daily_limit_minor=10**12,
            approval_threshold_minor=THRESHOLD,
            actor="user:bench",
        ),
    ):
        await amends.result((await amends.submit(request)).saga_id)


async def be_worker() -> None:
    """Carry out what the client asks for, on servers of its own."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="amends-bench-")))
        unguarded: Json = {} if IS_OLD else {"guarded": False}
        servers = EmbeddedServers(folder / "servers", **unguarded)
        await stack.enter_async_context(servers)
        environment = servers.environment()
        os.environ.update(environment)
        settings = Settings.from_environment(environment)
        await process.migrate(settings)
        client = await wiring.connect(settings)
        await register_search_attributes(client)
        running = await stack.enter_async_context(wiring.wire(settings, client))
        workers = [*running.workers, await _five_worker(stack, settings, client)]
        for worker in workers:
            await stack.enter_async_context(worker)
        process.spare_the_collector()
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", __file__, "client"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert asked.stdin is not None
        assert asked.stdout is not None
        await asked.stdout.readline()
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            before, held = _spent_s(), _resident_bytes()
            asked.stdin.write(line.encode())
            took = json.loads(await asked.stdout.readline())
            after = _spent_s()
            gc.collect()
            took["spent_s"] = {name: after[name] - before[name] for name in after}
            took["grown_bytes"] = _resident_bytes() - held
            print(json.dumps(took), flush=True)
        asked.stdin.close()
        await asked.wait()


async def _five_worker(stack: AsyncExitStack, settings: Settings, client: Client) -> Any:
    more: Json = {} if IS_OLD else {"writes": True}
    assert settings.database_url is not None
    database = await stack.enter_async_context(
        open_database(settings.database_url, size=20, **more)
    )
    agents = AgentActivities(database)
    rooms: list[Any] = [SagaActivities(database, client), StepRecords(database), agents]
    workflows: list[type] = [five.FiveSteps]
    if not IS_OLD:
        together = import_module("activities.together")
        rooms.append(together.TogetherActivities(database, [agents]))
        workflows += [five.FiveApart, five.FiveInOne]
    return wiring.worker(client, FIVE, workflows, rooms, runner("on"))


def _spent_s() -> dict[str, float]:
    """Processor time so far: of the worker, the client, and each server with its processes."""
    spent = {"worker": time.process_time(), "client": 0.0, "PostgreSQL": 0.0, "Temporal": 0.0}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            name, times = child.name(), child.cpu_times()
            own = times.user + times.system
            if name.startswith("postgres"):
                spent["PostgreSQL"] += own + times.children_user + times.children_system
            else:
                spent["Temporal" if "temporal" in name else "client"] += own
    return spent


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    asyncio.run(be_client() if sys.argv[1:] == ["client"] else be_worker())
    # Not through the threads that still wait for a line.
    os._exit(0)
