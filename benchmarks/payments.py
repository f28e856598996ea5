"""What a payment costs, beside the floor it stands on: a plain workflow of empty activities."""

import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.floor import PlainWorkflow, nothing
from benchmarks.pace import Amount, Measured
from benchmarks.pace import measure as at_pace
from benchmarks.part import Part
from benchmarks.table import Table
from ledger.audit.verify import verify
from ledger.database import open_database
from starter import Amends
from worker import process
from worker.embedded.servers import EmbeddedServers
from worker.search_attributes import register_search_attributes
from worker.settings import Settings
from worker.wiring import connect, wire
from workflows.contract.agent import AgentRequest
from workflows.contract.payment import PaymentRequest
from workflows.contract.policy import PolicyRequest

AMOUNT = Amount(alone=100, together=400, at_once=20)


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

    return await at_pace(pay, AMOUNT)


async def _floor(client: Client) -> Measured:
    """The same activities, empty, in a plain workflow."""

    async def run(_: int) -> None:
        await client.execute_workflow(PlainWorkflow.run, id=uuid4().hex, task_queue="floor")

    async with Worker(client, task_queue="floor", workflows=[PlainWorkflow], activities=[nothing]):
        return await at_pace(run, AMOUNT)


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
        table.add(f"{name}, {AMOUNT.at_once} at once", f"{found.per_s:.1f}", *times)
    times = (f"{paid.p50_ms / floor.p50_ms:.2f}", f"{paid.p99_ms / floor.p99_ms:.2f}")
    table.add("payment / plain", f"{paid.per_s / floor.per_s:.2f}", *times)
    return table
