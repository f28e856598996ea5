"""What a payment costs, beside the floor it stands on, a plain workflow of empty activities; and
what windows and mandates add."""

import os
import statistics
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from uuid import uuid4

import psutil
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.floor import PlainWorkflow, nothing
from benchmarks.pace import OWN, POSTGRES, TEMPORAL, Amount, Measured, Spent
from benchmarks.pace import measure as at_pace
from benchmarks.part import Part
from benchmarks.run import cpu_s
from benchmarks.table import Table, factor
from ledger.audit.verify import verify
from ledger.database import open_database
from starter import Amends
from starter.client.kinds import Request
from worker import process
from worker.embedded.servers import EmbeddedServers
from worker.search_attributes import register_search_attributes
from worker.settings import Settings
from worker.wiring import connect, wire
from workflows.contract.agent import AgentRequest
from workflows.contract.mandate import MandateRequest
from workflows.contract.payment import PaymentRequest
from workflows.contract.policy import PolicyRequest

AMOUNT = Amount(alone=100, together=200, at_once=20)
ROUNDS = 3
FLOOR = "plain workflow, empty activities"


# A policy with the amount of a day, and one with every window under a chain of mandates.
ONE, ALL = "payment, one window", "payment, 8 windows and 5 mandates"
WINDOWS = {
    f"{period}_{what}": 1_000_000
    for period in ("daily", "weekly", "monthly", "total")
    for what in ("limit_minor", "count")
}
CHAIN = 5


class Payments:
    """Whole payments, from the submit to the result: automatic approval, the mock bank."""

    def __init__(self, amends: Amends) -> None:
        self._amends, self._run = amends, uuid4().hex[:8]
        self._mandates = [f"bench-{self._run}-{number}" for number in range(CHAIN)]

    async def prepare(self) -> None:
        """Register the agents and set their policies, and delegate the mandates."""
        for agent, limits in ((ONE, {"daily_limit_minor": 1_000_000}), (ALL, WINDOWS)):
            name = _agent(agent)
            await self._carry_out(
                AgentRequest(
                    operation_id=f"bench-agent-{self._run}-{name}",
                    action="register",
                    agent_id=name,
                    user="user:bench",
                    actor="user:bench",
                )
            )
            policy = {
                "operation_id": f"bench-policy-{self._run}-{name}",
                "agent_id": name,
                "currency": "ARS",
                "max_per_transaction_minor": 100,
                "approval_threshold_minor": 100,
                "actor": "user:bench",
            }
            await self._carry_out(PolicyRequest.model_validate(policy | limits))
        for parent, mandate in pairwise([None, *self._mandates]):
            granted = {
                "operation_id": f"bench-mandate-{mandate}",
                "action": "grant",
                "mandate": mandate,
                "agent_id": _agent(ALL),
                "parent": parent,
                "currency": "ARS",
                "amount_minor": 1_000_000,
                "count": 1_000_000,
                "actor": "user:bench",
            }
            await self._carry_out(MandateRequest.model_validate(granted))

    async def pay(self, agent: str, number: int) -> None:
        """Pay once, under the last of the mandates where the agent has them."""
        asked = {
            "operation_id": f"bench-{self._run}-{uuid4().hex[:8]}-{number}",
            "agent_id": _agent(agent),
            "amount": {"minor": 100, "currency": "ARS"},
            "destination": {"cbu": "2850590940090418135201"},
        }
        if agent == ALL:
            asked["mandate"] = self._mandates[-1]
        await self._carry_out(PaymentRequest.model_validate(asked))

    async def _carry_out(self, request: Request) -> None:
        await self._amends.result((await self._amends.submit(request)).saga_id)


def _agent(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


def _spent_by(servers: EmbeddedServers) -> Spent:
    assert servers.main.process is not None
    assert servers.temporal.process is not None
    processes = {
        POSTGRES: psutil.Process(servers.main.process.pid),
        TEMPORAL: psutil.Process(servers.temporal.process.pid),
    }

    def spent_s() -> dict[str, float]:
        served = {name: cpu_s(process) for name, process in processes.items()}
        return {OWN: time.process_time(), **served}

    return spent_s


async def _floor(client: Client, spent_s: Spent) -> Measured:
    """The same activities, empty, in a plain workflow."""

    async def run(_: int) -> None:
        await client.execute_workflow(PlainWorkflow.run, id=uuid4().hex, task_queue="floor")

    async with Worker(client, task_queue="floor", workflows=[PlainWorkflow], activities=[nothing]):
        return await at_pace(run, AMOUNT, spent_s)


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
        payments = Payments(await Amends.connect(environment))
        await payments.prepare()
        spent_s = _spent_by(servers)
        found: dict[str, list[Measured]] = {}
        # The first round warms up.
        for _ in range(ROUNDS + 1):
            found.setdefault(FLOOR, []).append(await _floor(client, spent_s))
            for name in (ONE, ALL):
                measured = await at_pace(partial(payments.pay, name), AMOUNT, spent_s)
                found.setdefault(name, []).append(measured)
        database = await stack.enter_async_context(
            open_database(servers.ledger_url("amends_auditor"), size=1)
        )
        findings = [found.message for found in (await verify(database)).findings]
        counted = {name: rounds[1:] for name, rounds in found.items()}
        yield Part("Payments", _table(counted), findings)


def _table(found: dict[str, list[Measured]]) -> Table:
    """Medians of the rounds; of a ratio, over the rounds, each compared with itself."""
    table = Table("what | a second | p50 ms | p99 ms | processor ms")
    for name, rounds in found.items():
        cells = (_median(of, rounds) for of in (_per_s, _p50, _p99, _cpu))
        table.add(f"{name}, {AMOUNT.at_once} at once", *(f"{cell:.1f}" for cell in cells))
    for name, beside, aim in ((ONE, FLOOR, None), (ALL, ONE, 1.3)):
        pairs = list(zip(found[name], found[beside], strict=True))
        shares = [
            statistics.median(of(a) / of(b) for a, b in pairs) for of in (_per_s, _p50, _p99, _cpu)
        ]
        table.add(
            f"{name} / {beside}",
            *(factor(share) for share in shares[:-1]),
            factor(shares[-1], aim),
        )
    return table


def _median(of: Callable[[Measured], float], rounds: list[Measured]) -> float:
    return statistics.median(map(of, rounds))


def _per_s(measured: Measured) -> float:
    return measured.per_s


def _p50(measured: Measured) -> float:
    return measured.p50_ms


def _p99(measured: Measured) -> float:
    return measured.p99_ms


def _cpu(measured: Measured) -> float:
    return sum(measured.cpu_ms.values())
