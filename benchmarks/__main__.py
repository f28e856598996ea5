"""`python -m benchmarks`: what a commit and a payment cost, beside the floor they stand on."""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.floor import PlainWorkflow, nothing
from benchmarks.history import LONG, SHORT, show_at
from ledger.agents import AgentRegistered, agent_name
from ledger.commit import Author, Decision, Ref, commit
from ledger.database import Database, open_database
from ledger.verify import verify
from starter import Amends
from worker import process
from worker.embedded.servers import EmbeddedServers
from worker.search_attributes import register_search_attributes
from worker.settings import Settings
from worker.wiring import connect, wire
from workflows.inputs import AgentRequest, PaymentRequest, PolicyRequest

ONE_AT_A_TIME, TOGETHER, AT_ONCE = 100, 400, 20
COMMITS = 2_000


@dataclass(frozen=True)
class Measured:
    """`per_s` with many at once; `p50_ms` and `p99_ms` one at a time."""

    per_s: float
    p50_ms: float
    p99_ms: float


async def measure(work: Callable[[int], Awaitable[object]]) -> Measured:
    """Run the work one at a time, then many at once."""
    times: list[float] = []
    for number in range(ONE_AT_A_TIME):
        began = time.perf_counter()
        await work(number)
        times.append((time.perf_counter() - began) * 1000)
    per_s = await rate(work, ONE_AT_A_TIME, TOGETHER, AT_ONCE)
    return Measured(per_s, statistics.median(times), statistics.quantiles(times, n=100)[98])


async def rate(
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


async def commits(database: Database, at_once: int) -> float:
    """Commits of one event and one state row each, on aggregates of their own, a second."""
    batch = uuid4().hex[:8]

    async def one(number: int) -> None:
        agent_id = f"bench-{batch}-{number}"
        event = AgentRegistered(agent_id=agent_id, user="user:bench")
        name = agent_name(agent_id)
        await commit(
            database, Author("user:bench"), [Ref(name)], lambda _: Decision(None, [(name, event)])
        )

    return await rate(one, 0, COMMITS, at_once)


async def payments(amends: Amends) -> Measured:
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

    return await measure(pay)


async def floor(client: Client) -> Measured:
    """The same activities, empty, in a plain workflow."""

    async def run(_: int) -> None:
        await client.execute_workflow(PlainWorkflow.run, id=uuid4().hex, task_queue="floor")

    async with Worker(client, task_queue="floor", workflows=[PlainWorkflow], activities=[nothing]):
        return await measure(run)


async def main() -> int:
    """Print the table; the exit status is 1 when the ledger does not verify afterwards."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="amends-bench-"))
        servers = await stack.enter_async_context(EmbeddedServers(Path(folder) / "servers"))
        environment = servers.environment()
        os.environ.update(environment)
        settings = Settings.from_environment(environment)
        await process.migrate(settings)
        client = await connect(settings)
        await register_search_attributes(client)
        running = await stack.enter_async_context(wire(settings, client))
        for worker in running.workers:
            await stack.enter_async_context(worker)
        database = await stack.enter_async_context(
            open_database(servers.ledger_url("amends_worker"), size=16)
        )
        one, sixteen = await commits(database, 1), await commits(database, 16)
        plain = await floor(client)
        paid = await payments(await Amends.connect(environment))
        print("| what | a second | p50 ms | p99 ms |")
        print("|---|---|---|---|")
        print(f"| ledger.commit, 1 at a time | {one:.0f} | | |")
        print(f"| ledger.commit, 16 at once | {sixteen:.0f} | | |")
        for name, found in (("plain workflow, empty activities", plain), ("payment", paid)):
            print(
                f"| {name}, {AT_ONCE} at once | {found.per_s:.1f} "
                f"| {found.p50_ms:.0f} | {found.p99_ms:.0f} |"
            )
        print(
            f"| payment / plain | {paid.per_s / plain.per_s:.2f} "
            f"| {paid.p50_ms / plain.p50_ms:.2f} | {paid.p99_ms / plain.p99_ms:.2f} |"
        )
        short, long = await show_at(database)
        print(f"| show --at, {SHORT} events | | {short:.1f} | |")
        print(f"| show --at, {LONG:,} events | | {long:.1f} | |")
        print(f"| {LONG:,} / {SHORT} events | | {long / short:.2f} | |")
        findings = (await verify(database)).findings
    for finding in findings:
        print(finding.message, file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    status = asyncio.run(main())
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK's core may abort an interpreter that is going down.
    os._exit(status)
