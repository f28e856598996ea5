"""The cold start of commands: processor time and modules of a fresh interpreter."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmarks.part import Part
from benchmarks.table import Table
from ledger.aggregates.money import Money
from starter.client.client import Amends
from worker import process
from worker.embedded.servers import EmbeddedServers
from worker.search_attributes import register_search_attributes
from worker.settings import Settings
from worker.wiring import connect, wire
from workflows.contract.agent import AgentRequest, PolicyRequest
from workflows.contract.payment import Destination, PaymentRequest

ROOT = Path(__file__).parent.parent
AGENT, FIRST = "bench-start", "bench-start-1"
# For each command that decides, so many payments wait, one for each of its runs.
DECISIONS = ("approve", "reject", "capture")
# The kind of each command, its aim in milliseconds, and its words.
COMMANDS = (
    ("prints", 100, ("--version",)),
    ("prints", 100, ("completion", "bash")),
    *(("lists", 200, (*words.split(),)) for words in ("sagas", "payments", "log", "agent list")),
    ("lists", 200, ("policy", "show", AGENT)),
    *(("folds", 200, (verb, f"agent/{AGENT}")) for verb in ("show", "blame")),
    ("lists", 200, ("saga", f"agent/{FIRST}")),
    ("folds", 200, ("verify",)),
    ("client", 450, ("cancel", f"agent/{FIRST}")),
    ("client", 450, ("schedule", "list")),
    ("client and ledger", 450, ("waiting",)),
    *(("client and ledger", 450, (verb, f"payment/{verb}-N", "--yes")) for verb in DECISIONS),
)


@dataclass(frozen=True)
class Size:
    """How often each command runs; the least time is its cost, the rest is the machine."""

    runs: int


WHOLE, SMALL = Size(20), Size(1)


async def measure(servers: EmbeddedServers, size: Size) -> AsyncGenerator[Part, None]:
    """The one part that there is: every command on a ledger that has a few sagas."""
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
        await _fill(environment, size.runs + 1)
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        table = Table("command | kind | modules | ms of processor time | aim")
        for kind, aim, words in COMMANDS:
            runs = [_numbered(words, number) for number in range(size.runs + 1)]
            modules = await asyncio.to_thread(_modules, runs[0], environment | path)
            best = await asyncio.to_thread(_best_ms, runs[1:], environment | path)
            table.add(f"`amends {' '.join(words)}`", kind, str(modules), f"{best:.0f}", f"{aim}")
        yield Part("Cold start", table, [])


def _numbered(words: tuple[str, ...], number: int) -> tuple[str, ...]:
    return tuple(word.replace("-N", f"-{number}") for word in words)


async def _fill(environment: dict[str, str], decisions: int) -> None:
    async with Amends.connect(environment) as amends:
        for request in (
            AgentRequest(
                operation_id=FIRST,
                action="register",
                agent_id=AGENT,
                user="user:bench",
                actor="user:bench",
            ),
            PolicyRequest(
                operation_id=f"{FIRST}-policy",
                agent_id=AGENT,
                currency="ARS",
                max_per_transaction_minor=200,
                daily_limit_minor=1_000_000,
                approval_threshold_minor=100,
                actor="user:bench",
            ),
        ):
            await amends.result((await amends.submit(request)).saga_id)
        for verb, number in product(DECISIONS, range(decisions)):
            # A person approves above the threshold, and the agent captures below.
            await amends.submit(
                PaymentRequest(
                    operation_id=f"{verb}-{number}",
                    agent_id=AGENT,
                    amount=Money(minor=50 if verb == "capture" else 150, currency="ARS"),
                    destination=Destination(cbu="2850590940090418135201"),
                    capture="manual" if verb == "capture" else "automatic",
                )
            )


def _command(words: tuple[str, ...], *python: str) -> list[str]:
    return [sys.executable, *python, "-m", "starter.cli", *words]


def _modules(words: tuple[str, ...], environment: dict[str, str]) -> int:
    done = subprocess.run(
        _command(words, "-X", "importtime"), capture_output=True, text=True, env=environment
    )
    return sum(line.startswith("import time:") for line in done.stderr.splitlines()) - 1


def _best_ms(runs: list[tuple[str, ...]], environment: dict[str, str]) -> float:
    return 1000 * min(_cpu_s(words, environment) for words in runs)


def _cpu_s(words: tuple[str, ...], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(_command(words), capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
