"""The cold start of commands: processor time and modules of a fresh interpreter."""

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from benchmarks.part import Part
from benchmarks.table import Table
from ledger.aggregates.money import Money
from starter.client.client import Amends
from worker import process
from worker.embedded.servers import EmbeddedServers
from worker.search_attributes import register_search_attributes
from worker.settings import Settings
from worker.wiring import connect, wire
from workflows.contract.agent import AgentRequest
from workflows.contract.change import ChangeRequest, Resource
from workflows.contract.payment import Destination, PaymentRequest
from workflows.contract.policy import PolicyRequest

ROOT = Path(__file__).parent.parent
AGENT, FIRST, CHANGE = "bench-start", "bench-start-1", "bench-start-shop"
# For each command that decides, so many payments wait, one for each of its runs.
DECISIONS = ("approve", "reject", "capture", "cancel")
WAITS, PAID = "payment/cancel-0", "payment/paid"
LIMITS = "--currency ARS --max-per-transaction 200 --daily-limit 1000000 --approval-threshold 100"
# The kinds of commands, the aim of each in milliseconds, and the words of its commands: all of
# `amends --help` that end, apart from `migrate`, whose work is that of another process.
KINDS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("prints", 100, ("--version", "env", "completion bash")),
    ("describes", 200, ("schema PaymentSaga",)),
    (
        "lists",
        200,
        (
            *("sagas", "payments", "resources", "log", "follow --from P1D --limit 1"),
            *("agent list", f"policy show {AGENT}", f"saga {PAID}", f"saga {WAITS}"),
            f"saga change/{CHANGE}",
        ),
    ),
    (
        "folds",
        200,
        (
            *(f"{verb} agent/{AGENT}" for verb in ("show", "blame")),
            *(f"diff agent/{AGENT} 1 2", "verify", "rebuild agents"),
        ),
    ),
    ("plans", 450, ("plan {change}", f"rollback --to before:{CHANGE} --plan")),
    (
        "client",
        450,
        (
            *("pay {payment}", "cancel payment/cancel-N", f"agent revoke {AGENT}-none"),
            *("sweep", "schedule list", "schedule pause yearly"),
            *("schedule resume yearly", "schedule delete none", f"retry {WAITS} authorize"),
            *(f"skip {WAITS} authorize --reason R", f"resolve {WAITS} authorize --evidence E"),
        ),
    ),
    (
        "client and ledger",
        450,
        (
            *("waiting", f"agent register {AGENT} --user bench", f"policy set {AGENT} {LIMITS}"),
            *(f"{verb} payment/{verb}-N --yes" for verb in DECISIONS[:3]),
        ),
    ),
    (
        "client and plan",
        450,
        ("apply {change}", f"rollback --to before:{CHANGE}-2 --environment two"),
    ),
)
COMMANDS = [(kind, aim, words) for kind, aim, all_words in KINDS for words in all_words]


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
        folder = Path(stack.enter_context(TemporaryDirectory()))
        files = await _fill(environment, size.runs + 1, folder)
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        table = Table("command | kind | modules | ms of processor time | aim")
        for kind, aim, words in COMMANDS:
            # The saga of the first number goes on waiting.
            runs = [_filled_in(words, files, number) for number in range(1, size.runs + 2)]
            modules = await asyncio.to_thread(_modules, runs[0], environment | path)
            best = await asyncio.to_thread(_best_ms, runs[1:], environment | path)
            said = words.format(change="FILE", payment="FILE").replace(LIMITS, "...")
            table.add(f"`amends {said}`", kind, str(modules), f"{best:.0f}", f"{aim}")
        yield Part("Cold start", table, [])


def _filled_in(words: str, files: dict[str, str], number: int) -> tuple[str, ...]:
    return tuple(
        word.format(**files).replace("-N", f"-{number}") if "{" in word or "-N" in word else word
        for word in words.split()
    )


def _payment(operation_id: str, minor: int, capture: Literal["automatic", "manual"]) -> Any:
    return PaymentRequest(
        operation_id=operation_id,
        agent_id=AGENT,
        amount=Money(minor=minor, currency="ARS"),
        destination=Destination(cbu="2850590940090418135201"),
        capture=capture,
    )


async def _fill(environment: dict[str, str], decisions: int, folder: Path) -> dict[str, str]:
    """An agent, a payment that is made, one that waits for each run of a decision, a change in each
    of two environments, and a schedule; returns the files of the requests."""
    paid = _payment("paid", 50, "automatic")
    changes = [
        ChangeRequest(
            operation_id=name,
            environment=environment,
            actor="user:bench",
            present=[Resource(name=name, kind="postgres.role", spec={"login": True})],
        )
        for name, environment in ((CHANGE, "dev"), (f"{CHANGE}-2", "two"))
    ]
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
            paid,
            *changes,
        ):
            await amends.result((await amends.submit(request)).saga_id)
        for verb, number in product(DECISIONS, range(decisions + 1)):
            # A person approves above the threshold, and the agent captures below.
            is_capture = verb == "capture"
            await amends.submit(
                _payment(
                    f"{verb}-{number}",
                    50 if is_capture else 150,
                    "manual" if is_capture else "automatic",
                )
            )
        unnamed = paid.model_copy(update={"operation_id": None})
        await amends.schedules.recurring("yearly", unnamed, "0 0 1 1 *")
    for name, request in (("payment", paid), ("change", changes[0])):
        (folder / name).write_text(json.dumps(request.as_given()))
    return {name: str(folder / name) for name in ("payment", "change")}


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
