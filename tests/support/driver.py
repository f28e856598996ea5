"""Asks for sagas as a client of any language would: by workflow name, JSON in, JSON out."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from tests.support.public_failures import assert_public
from tests.support.until import DEADLINE_S, until

Json = dict[str, Any]
Handle = WorkflowHandle[Any, Any]

CBU = "2850590940090418135201"
IBAN = "ES9121000418450200051332"
USER = {"actor": "user:u-17"}
# Pesos, as the requirements tell them.
MAX_PER_TRANSACTION, DAILY_LIMIT, APPROVAL_THRESHOLD = 60_000, 100_000, 50_000

KINDS = {
    kind: f"{kind.title()}Saga"
    for kind in (
        *("payment", "refund", "agent", "policy", "mandate", "key", "trial"),
        *("reconcile", "case"),
    )
}


def new_id(what: str) -> str:
    """A name nobody had before."""
    return f"{what}-{uuid4().hex[:12]}"


def payment(agent: str, pesos: int, **more: Any) -> Json:
    """A payment of whole pesos, under a new operation id unless `more` gives one."""
    return {
        "operation_id": new_id("pay"),
        "agent_id": agent,
        "amount": {"minor": pesos * 100, "currency": "ARS"},
        "destination": {"cbu": CBU},
        "description": "building expenses",
        **more,
    }


def registration(agent: str, action: str = "register") -> Json:
    """Let an agent ask on behalf of user:u-17, or stop it."""
    who = {"user": "user:u-17"} if action == "register" else {}
    return {"operation_id": new_id(action), "action": action, "agent_id": agent, **who, **USER}


def policy(agent: str, **more: Any) -> Json:
    """The policy of the requirements, in pesos."""
    return {
        "operation_id": new_id("policy"),
        "agent_id": agent,
        "currency": "ARS",
        "max_per_transaction_minor": MAX_PER_TRANSACTION * 100,
        "daily_limit_minor": DAILY_LIMIT * 100,
        "approval_threshold_minor": APPROVAL_THRESHOLD * 100,
        **USER,
        **more,
    }


def refund(paid: Json, pesos: int | None = None, **more: Any) -> Json:
    """A refund of a payment: of all that is left, or of so many pesos."""
    amount = {} if pesos is None else {"amount": {"minor": pesos * 100, "currency": "ARS"}}
    asked = {"operation_id": new_id("refund"), "payment": paid["operation_id"], **amount}
    return {**asked, **USER, "reason": "the order was cancelled", **more}


_BY_FIELD = {
    "payment": "refund",
    "amount": "payment",
    "mandate": "mandate",
    "trial": "trial",
    "holder": "key",
    "statement": "reconcile",
    "listing": "reconcile",
    "arrived": "reconcile",
    "case_id": "case",
}


def kind_of(request: Mapping[str, Any]) -> str:
    """`payment`, `refund`, `trial`, `key`, `agent` or `policy`, and what statements need."""
    for field, kind in _BY_FIELD.items():
        if field in request:
            return kind
    return "agent" if "action" in request else "policy"


def saga_of(request: Mapping[str, Any]) -> str:
    """The workflow id that the contract gives a request."""
    return f"{kind_of(request)}/{request['operation_id']}"


def raw(data: bytes, encoding: str = "json/plain") -> RawValue:
    """Sent as it is, under the name of an encoding."""
    return RawValue(Payload(metadata={"encoding": encoding.encode()}, data=data))


async def types_of(handle: Handle) -> list[str]:
    """The types of the events in a history, in order."""
    events = (await handle.fetch_history()).events
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events]


async def until_history(
    handle: Handle, event_type: str, count: int = 1, every_s: float = 0.05
) -> None:
    """Wait until the history of a run has as many events of a type."""

    async def has_them() -> bool:
        return (await types_of(handle)).count(event_type) >= count

    await until(has_them, every_s)


async def until_length(handle: Handle, length: int) -> None:
    """Wait until the history of a run has so many events, or its last one."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            described = await handle.describe()
            if described.history_length >= length or described.close_time is not None:
                return


async def until_waits_for(handle: Handle, what: str) -> None:

    async def waits() -> bool:
        return bool((await handle.query("progress"))["waits_for"] == what)

    await until(waits, 0.02)


async def refused(update: Awaitable[Any]) -> ApplicationError:
    """Await an update that has to fail; returns why it did."""
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await update
    assert isinstance(failed.value.cause, ApplicationError)
    assert_public(failed.value.cause)
    return failed.value.cause


@dataclass(frozen=True)
class Driver:
    """One client of Temporal, and the task queue that the worker under test listens on."""

    client: Client
    queue: str

    async def start(self, request: Json, **options: Any) -> Handle:
        return await self.start_raw(
            KINDS[kind_of(request)], [request], **{"id": saga_of(request), **options}
        )

    async def start_raw(self, workflow: str, arguments: list[Any], **options: Any) -> Handle:
        return await self.client.start_workflow(
            workflow, args=arguments, **{"task_queue": self.queue, **options}
        )

    async def until_waits(self, request: Json, what: str, **options: Any) -> Handle:
        """Start a saga, and wait until it waits for somebody."""
        handle = await self.start(request, **options)
        await until_waits_for(handle, what)
        return handle

    async def run(self, request: Json, **options: Any) -> Json:
        return dict(await (await self.start(request, **options)).result())

    async def submit(self, request: Json, **options: Any) -> Json:
        """Update-with-start, as the SDK does; returns the progress once the decision is known."""
        return await self.start_with(request, "submit", request, **options)

    async def start_with(self, request: Json, update: str, argument: Any, **options: Any) -> Json:
        """Update-with-start: the answer of an update that is sent with the start."""
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            KINDS[kind_of(request)],
            request,
            **{
                "id": saga_of(request),
                "task_queue": self.queue,
                "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
                **options,
            },
        )
        progress: Json = await self.client.execute_update_with_start_workflow(
            update, argument, start_workflow_operation=start
        )
        return progress

    def handle(self, request: Json, run_id: str | None = None) -> Handle:
        """The saga of a request: its newest run, or a certain one."""
        return self.client.get_workflow_handle(saga_of(request), run_id=run_id)

    async def result(self, request: Json) -> Json:
        return dict(await self.handle(request).result())

    async def tell(self, request: Json, update: str, by: Any = USER) -> Json:
        return dict(await self.handle(request).execute_update(update, by))

    async def progress(self, request: Json) -> Json:
        return dict(await self.handle(request).query("progress"))

    async def is_in(self, request: Json, state: str) -> bool:
        return bool((await self.progress(request))["state"] == state)

    async def waits(self, request: Json) -> bool:
        """Whether a saga waits for somebody or something."""
        return bool((await self.progress(request))["waits"])

    async def step(self, request: Json, name: str) -> Json:
        """A step of a saga, as the query tells it; empty while there is none."""
        steps: list[Json] = (await self.progress(request))["steps"]
        return next((step for step in steps if step["name"] == name), {})

    async def attempts(self, handle: Handle, count: int) -> bool:
        described = await handle.describe()
        return any(it.attempt >= count for it in described.raw_description.pending_activities)

    async def reset(self, request: Json) -> None:
        """Let the newest run of a saga begin anew after its first workflow task."""
        described = await self.handle(request).describe()
        done = (await types_of(self.handle(request))).index("WORKFLOW_TASK_COMPLETED") + 1
        await self.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_execution=described.raw_info.execution,
                reason="reset by a test",
                workflow_task_finish_event_id=done,
                request_id=new_id("reset"),
            )
        )

    async def refusal(self, request: Json, update: str, by: Any = USER) -> ApplicationError:
        """Send an update that has to be refused; returns why it was."""
        return await refused(self.tell(request, update, by))

    async def failure(self, handle: Handle) -> ApplicationError:
        """Wait for a run that has to fail; returns why it did."""
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, ApplicationError)
        assert_public(failed.value.cause)
        return failed.value.cause
