"""What a payment costs, beside the floor it stands on: a plain workflow of empty activities."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.floor import PlainWorkflow, nothing
from benchmarks.part import Part
from benchmarks.table import Table
from ledger.database import open_database
from ledger.verify import verify
from starter import Amends
from worker import process
from worker.embedded.servers import EmbeddedServers
from worker.search_attributes import register_search_attributes
from worker.settings import Settings
from worker.wiring import connect, wire
from workflows.inputs import AgentRequest, PaymentRequest, PolicyRequest

ONE_AT_A_TIME, TOGETHER, AT_ONCE = 100, 400, 20


@dataclass(frozen=True)
class Measured:
    """`per_s` with many at once; `p50_ms` and `p99_ms` one at a time."""

    per_s: float
    p50_ms: float
    p99_ms: float


async def _measure(work: Callable[[int], Awaitable[object]]) -> Measured:
    """Run the work one at a time, then many at once."""
    times: list[float] = []
    for number in range(ONE_AT_A_TIME):
        began = time.perf_counter()
        await work(number)
        times.append((time.perf_counter() - began) * 1000)
    per_s = await _rate(work, ONE_AT_A_TIME, TOGETHER, AT_ONCE)
    return Measured(per_s, statistics.median(times), statistics.quantiles(times, n=100)[98])


async def _rate(
    work: Callable[[int], Awaitable[object]], first: int, count: int, at_once: int
) -> float:
    """How many a second, `at_once` together."""
    numbers = iter(range(first, first + count))

    async def lane() -> None:
        for number in numbers:
            await work(number)

    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(at_once)))
    return count / (time.perf_counter() - began)


async def _payments(amends: Amends) -> Measured:
    """Whole payments, from the submit to the result: automatic approval, the mock bank."""
    run = uuid4().hex[:8]
    for request in (
        AgentRequest(
            operation_id=f"bench-agent-{run}",
            action="register",
            agent_id="bench",
            user="user:bench",
            actor="user:bench",
        ),
        PolicyRequest(
            operation_id=f"bench-policy-{run}",
            agent_id="bench",
            currency="ARS",
            max_per_transaction_minor=100,
            daily_limit_minor=1_000_000,
            approval_threshold_minor=100,
            actor="user:bench",
        ),
    ):
        await amends.result((await amends.submit(request)).saga_id)

    async def pay(number: int) -> None:
        request = PaymentRequest.model_validate(
            {
                "operation_id": f"bench-{run}-{number}",
                "agent_id": "bench",
                "amount": {"minor": 100, "currency": "ARS"},
                "destination": {"cbu": "2850590940090418135201"},
            }
        )
        await amends.result((await amends.submit(request)).saga_id)

    return await _measure(pay)


async def _floor(client: Client) -> Measured:
    """The same activities, empty, in a plain workflow."""

    async def run(_: int) -> None:
        await client.execute_workflow(PlainWorkflow.run, id=uuid4().hex, task_queue="floor")

    async with Worker(client, task_queue="floor", workflows=[PlainWorkflow], activities=[nothing]):
        return await _measure(run)


async def measure(servers: EmbeddedServers) -> AsyncGenerator[Part, None]:
    """The one part that there is."""
    async with AsyncExitStack() as stack:
        environment = servers.environment()
        os.environ.update(environment)
        settings = Settings.from_environment(environment)
        await process.migrate(settings)
        client = await connect(settings)
        await register_search_attributes(client)
        running = await stack.enter_async_context(wire(settings, client))
        for worker in running.workers:
            await stack.enter_async_context(worker)
        floor = await _floor(client)
        paid = await _payments(await Amends.connect(environment))
        database = await stack.enter_async_context(
            open_database(servers.ledger_url("amends_auditor"), size=1)
        )
        findings = [found.message for found in (await verify(database)).findings]
        yield Part("Payments", _table(floor, paid), findings)


def _table(floor: Measured, paid: Measured) -> Table:
    table = Table("what | a second | p50 ms | p99 ms")
    for name, found in (("plain workflow, empty activities", floor), ("payment", paid)):
        times = (f"{found.p50_ms:.0f}", f"{found.p99_ms:.0f}")
        table.add(f"{name}, {AT_ONCE} at once", f"{found.per_s:.1f}", *times)
    times = (f"{paid.p50_ms / floor.p50_ms:.2f}", f"{paid.p99_ms / floor.p99_ms:.2f}")
    table.add("payment / plain", f"{paid.per_s / floor.per_s:.2f}", *times)
    return table
