"""What is asked of the product while its processes are killed: plain JSON, through Temporal, by
clients that ask again until they are answered."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from tests.attack.plan import Json, Story

T = TypeVar("T")

QUEUES = {"payments": "amends-payments", "infrastructure": "amends-infrastructure"}
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


@dataclass(frozen=True)
class Told:
    """What somebody said to a saga, and whether it was accepted, refused, or that is unclear."""

    saga_id: str
    verb: str
    actor: str
    answer: str


@dataclass
class Clients:
    """The clients of all sagas: what they asked for, and what they were told."""

    client: Client
    bank_url: str
    queues: Mapping[str, str] = field(default_factory=lambda: QUEUES)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    requests: dict[str, Json] = field(default_factory=dict)
    results: dict[str, Json] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    decisions: list[Told] = field(default_factory=list)

    async def carry_out(self, stories: Iterable[Story]) -> None:
        """All at once, to their ends."""
        async with asyncio.TaskGroup() as tasks:
            for story in stories:
                tasks.create_task(self.play(story))

    async def play(self, story: Story) -> None:
        """One story, to the ends of its sagas."""
        kind, first = story.requests[0]
        if story.fault is not None:
            await self._has_trouble(first, story.fault)
        if story.decisions or story.clients > 1:
            await asyncio.gather(*(self._ask(kind, first, n) for n in range(story.clients)))
            saga_id = f"{kind}/{first['operation_id']}"
            await asyncio.gather(*(self.tell(saga_id, *each) for each in story.decisions))
            await self.end(kind, first)
        elif story.at_once:
            await asyncio.gather(*(self.run(*each) for each in story.requests))
        else:
            for each in story.requests:
                await self.run(*each)

    def join(self, others: "Clients") -> None:
        """Know what others asked for, and were told, as well."""
        self.requests |= others.requests
        self.results |= others.results
        self.failures |= others.failures
        self.decisions += others.decisions

    async def run(self, kind: str, request: Json) -> None:
        """Start a saga, and note its end."""
        await self.start(kind, request)
        await self.end(kind, request)

    async def _ask(self, kind: str, request: Json, number: int) -> None:
        """As clients do it, one so and the next one so."""
        await (self.start(kind, request) if number % 2 else self.submit(request))

    async def start(self, kind: str, request: Json) -> None:
        saga_id = self._asked(kind, request)
        infrastructure = kind in ("change", "rollback")

        async def ask() -> None:
            try:
                await self.client.start_workflow(
                    *(_WORKFLOWS[kind], request),
                    id=saga_id,
                    task_queue=self.queues["infrastructure" if infrastructure else "payments"],
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    rpc_timeout=_ANSWER_WITHIN,
                )
            except WorkflowAlreadyStartedError:
                return

        await persist(ask)

    async def submit(self, request: Json) -> None:
        """Start a payment, and wait for its decision."""
        saga_id = self._asked("payment", request)

        async def ask() -> None:
            start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
                *("PaymentSaga", request),
                id=saga_id,
                task_queue=self.queues["payments"],
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            await self.client.execute_update_with_start_workflow(
                "submit", request, start_workflow_operation=start, rpc_timeout=_ANSWER_WITHIN
            )

        await persist(ask)

    async def tell(self, saga_id: str, verb: str, actor: str) -> None:
        """Decide. Unclear is a refusal where an earlier try of ours had no answer, whatever meets
        the end of the run, and a cancel that is told that the saga has completed."""
        by, tries = {"actor": actor, "reason": "it is so"}, 0

        async def ask() -> str:
            nonlocal tries
            tries += 1
            try:
                handle = self.client.get_workflow_handle(saga_id)
                now = await handle.execute_update(verb, by, rpc_timeout=_ANSWER_WITHIN)
            except WorkflowUpdateFailedError as error:
                cause = error.cause
                said_no = isinstance(cause, ApplicationError) and cause.type == "not_allowed"
                return "refused" if said_no and tries == 1 else "unclear"
            except RPCError as error:
                if error.status.name != "NOT_FOUND":
                    raise
                return "unclear"
            return "unclear" if verb == "cancel" and now["state"] == "completed" else "accepted"

        self.decisions.append(Told(saga_id, verb, actor, await persist(ask)))

    async def end(self, kind: str, request: Json) -> None:
        saga_id = f"{kind}/{request['operation_id']}"

        async def ask() -> None:
            handle = self.client.get_workflow_handle(saga_id, result_type=dict)
            try:
                async with asyncio.timeout(PATIENCE_S / 4):
                    self.results[saga_id] = await handle.result()
            except WorkflowFailureError as failed:
                cause = failed.cause
                found = cause.type if isinstance(cause, ApplicationError) else None
                self.failures[saga_id] = found or type(cause).__name__

        await persist(ask)

    def _asked(self, kind: str, request: Json) -> str:
        saga_id = f"{kind}/{request['operation_id']}"
        self.requests[saga_id] = request
        return saga_id

    async def _has_trouble(self, request: Json, fault: str) -> None:
        """The bank makes a mistake with the transfer of this payment."""

        async def ask() -> None:
            async with await psycopg.AsyncConnection.connect(self.bank_url) as connection:
                await connection.execute(
                    "INSERT INTO mock_bank.faults (key, fault, delay_ms) SELECT %(key)s, %(fault)s,"
                    " 200 WHERE NOT EXISTS (SELECT FROM mock_bank.faults WHERE key = %(key)s)",
                    {"key": f"payment/{request['operation_id']}", "fault": fault},
                )

        await persist(ask)


_WORKFLOWS = {
    "payment": "PaymentSaga",
    "agent": "AgentSaga",
    "policy": "PolicySaga",
    "change": "InfrastructureSaga",
    "rollback": "RollbackSaga",
}
