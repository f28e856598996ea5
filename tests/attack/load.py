"""What is asked of the product while its processes are killed: plain JSON, through Temporal, by
clients that ask again until they are answered."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

T = TypeVar("T")
Json = dict[str, Any]

PAYMENTS, INFRASTRUCTURE = "amends-payments", "amends-infrastructure"
CBU = "2850590940090418135201"
USER = {"actor": "user:u-17", "reason": "it was asked for"}
AGENTS = 5
# In minor units: above it a person is asked, and above that it is denied.
THRESHOLD, MOST = 5_000_000, 6_000_000
FAULTS = ("refuse", "timeout_before", "timeout_after", "answer_twice", "slow", "slow_after")
# Only what is broken takes so long: a supervisor that was killed is back in ten seconds.
PATIENCE_S = 120.0
_ASK_AGAIN_S, _ANSWER_WITHIN = 0.2, timedelta(seconds=15)
_NO_ANSWER = (
    *(RPCError, RuntimeError, TimeoutError, psycopg.OperationalError, FileNotFoundError),
    WorkflowUpdateRPCTimeoutOrCancelledError,
)


async def persist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer, whatever is down. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await ask()
            except _NO_ANSWER:
                await asyncio.sleep(_ASK_AGAIN_S)


@dataclass
class Clients:
    """The clients of all sagas, and what they were told."""

    client: Client
    bank_url: str
    dice: random.Random
    results: dict[str, Json] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    async def prepare(self) -> None:
        """Register the agents, and give them their policies."""
        for number in range(AGENTS):
            agent = {"agent_id": f"bot-{number}", **USER}
            register = {"operation_id": f"register-{number}", "action": "register"}
            await self.run("agent", {**register, "user": "user:u-17", **agent})
            limits = {"max_per_transaction_minor": MOST, "daily_limit_minor": 10**12}
            more = {"currency": "ARS", "approval_threshold_minor": THRESHOLD}
            await self.run("policy", {"operation_id": f"set-{number}", **limits, **more, **agent})

    async def round(self, sagas: int) -> None:
        """So many sagas at once, to their ends."""
        async with asyncio.TaskGroup() as tasks:
            started = 0
            while started < sagas:
                story = self.dice.choices([*_STORIES], [*_STORIES.values()])[0]
                started += _SAGAS.get(story, 1)
                tasks.create_task(story(self))

    async def run(self, kind: str, request: Json) -> None:
        """Start a saga, and note its end."""
        await self.start(kind, request)
        await self.end(kind, request)

    async def start(self, kind: str, request: Json) -> None:
        async def ask() -> None:
            try:
                await self.client.start_workflow(
                    *(_WORKFLOWS[kind], request),
                    id=f"{kind}/{request['operation_id']}",
                    task_queue=INFRASTRUCTURE if kind in ("change", "rollback") else PAYMENTS,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    rpc_timeout=_ANSWER_WITHIN,
                )
            except WorkflowAlreadyStartedError:
                return

        await persist(ask)

    async def submit(self, request: Json) -> None:
        """Start a payment, and wait for its decision."""

        async def ask() -> None:
            start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
                *("PaymentSaga", request),
                id=f"payment/{request['operation_id']}",
                task_queue=PAYMENTS,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            await self.client.execute_update_with_start_workflow(
                "submit", request, start_workflow_operation=start, rpc_timeout=_ANSWER_WITHIN
            )

        await persist(ask)

    async def tell(self, request: Json, verb: str) -> None:
        """Decide; where another decision was quicker, or this one before, it is refused."""

        async def ask() -> None:
            try:
                await self._handle("payment", request).execute_update(
                    verb, USER, rpc_timeout=_ANSWER_WITHIN
                )
            except WorkflowUpdateFailedError:
                return
            except RPCError as error:
                if error.status.name != "NOT_FOUND":
                    raise

        await persist(ask)

    async def end(self, kind: str, request: Json) -> None:
        async def ask() -> None:
            handle = self._handle(kind, request)
            try:
                async with asyncio.timeout(PATIENCE_S / 4):
                    self.results[handle.id] = await handle.result()
            except WorkflowFailureError as failed:
                cause = failed.cause
                found = cause.type if isinstance(cause, ApplicationError) else None
                self.failures[handle.id] = found or type(cause).__name__

        await persist(ask)

    def _handle(self, kind: str, request: Json) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(
            f"{kind}/{request['operation_id']}", result_type=dict
        )

    def name(self, what: str) -> str:
        self._count += 1
        return f"{what}-{self._count}"

    def payment(self, minor: int, **more: Any) -> Json:
        return {
            "operation_id": self.name("pay"),
            "agent_id": f"bot-{self.dice.randrange(AGENTS)}",
            "amount": {"minor": minor + self.dice.randrange(1_000), "currency": "ARS"},
            "destination": {"cbu": CBU},
            "description": "rent",
            **more,
        }

    async def has_trouble(self, request: Json, fault: str) -> None:
        """The bank makes a mistake with the transfer of this payment."""

        async def ask() -> None:
            async with await psycopg.AsyncConnection.connect(self.bank_url) as connection:
                await connection.execute(
                    "INSERT INTO mock_bank.faults (key, fault, delay_ms) SELECT %(key)s, %(fault)s,"
                    " 200 WHERE NOT EXISTS (SELECT FROM mock_bank.faults WHERE key = %(key)s)",
                    {"key": f"payment/{request['operation_id']}", "fault": fault},
                )

        await persist(ask)


async def _small(clients: Clients) -> None:
    await clients.run("payment", clients.payment(1_000))


async def _denied(clients: Clients) -> None:
    await clients.run("payment", clients.payment(MOST + 1))


async def _troubled(clients: Clients) -> None:
    request = clients.payment(2_000)
    await clients.has_trouble(request, clients.dice.choice(FAULTS))
    await clients.run("payment", request)


async def _decided(clients: Clients) -> None:
    """Two people decide at once, not always alike, or somebody cancels."""
    request = clients.payment(THRESHOLD + 1)
    await clients.submit(request)
    verbs = clients.dice.choices(("approve", "reject", "cancel"), k=2)
    await asyncio.gather(*(clients.tell(request, verb) for verb in verbs))
    await clients.end("payment", request)


async def _captured(clients: Clients) -> None:
    request = clients.payment(3_000, capture="manual")
    await clients.submit(request)
    verbs = clients.dice.sample(("capture", "cancel"), k=2)
    await asyncio.gather(*(clients.tell(request, verb) for verb in verbs))
    await clients.end("payment", request)


async def _four_at_once(clients: Clients) -> None:
    """The same request by four clients."""
    request = clients.payment(4_000)
    ways: Sequence[Awaitable[None]] = [
        *(clients.submit(request) for _ in range(2)),
        *(clients.start("payment", request) for _ in range(2)),
    ]
    await asyncio.gather(*ways)
    await clients.end("payment", request)


async def _changed(clients: Clients) -> None:
    """A role is made, and sometimes taken back."""
    name = clients.name("role")
    made = {"name": f"attacked-{name}", "kind": "postgres.role", "spec": {"login": False}}
    change = {"operation_id": name, "present": [made], "environment": "attacked", **USER}
    await clients.run("change", change)
    if clients.dice.random() < 0.5:
        back: Json = {"operation_id": f"{name}-back", "to": f"before:{name}", **USER}
        back |= {"environment": "attacked", "resources": [f"attacked-{name}"]}
        await clients.run("rollback", back)


async def _three_changes(clients: Clients) -> None:
    """Three changes want one role at once."""
    name = f"attacked-{clients.name('raced')}"
    requests = [
        {
            "operation_id": clients.name("raced"),
            "present": [{"name": name, "kind": "postgres.role", "spec": {"login": login}}],
            "environment": "attacked",
            **USER,
        }
        for login in (True, False, True)
    ]
    await asyncio.gather(*(clients.run("change", request) for request in requests))


_WORKFLOWS = {
    "payment": "PaymentSaga",
    "agent": "AgentSaga",
    "policy": "PolicySaga",
    "change": "InfrastructureSaga",
    "rollback": "RollbackSaga",
}
# How often each comes, and how many sagas it is where it is not one.
_STORIES = {
    **{_small: 4, _denied: 1, _troubled: 4, _decided: 4, _captured: 2, _four_at_once: 2},
    **{_changed: 2, _three_changes: 1},
}
_SAGAS = {_changed: 2, _three_changes: 3}
