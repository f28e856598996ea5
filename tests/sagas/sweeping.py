"""Starts sweeps as the schedule does, and loses runs as operators do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ledger.database import Database
from ledger.sagas.saga_log import Opening, Run, open_saga
from ledger.store.commit import Author
from tests.support.driver import Driver, Handle, Json, new_id, payment, saga_of
from tests.support.probe import Probe
from tests.support.until import until
from workflows.contract.payment import PaymentRequest

GO_ON = {"actor": "user:u-17", "reason": "I looked: they are lost"}


async def end(handle: Handle) -> None:
    """Terminate a run, as a person in the Web UI does."""
    await handle.terminate("ended by a test")
    with pytest.raises(WorkflowFailureError):
        await handle.result()


async def waiting(driver: Driver, agent: str, what: str = "approval") -> Json:
    """A payment that waits for its approval, or for its capture."""
    is_large = what == "approval"
    request = payment(agent, 55_000) if is_large else payment(agent, 100, capture="manual")
    await driver.until_waits(request, what)
    return request


async def lost(driver: Driver, agent: str, what: str = "approval") -> Json:
    """One whose run was terminated while it waited."""
    request = await waiting(driver, agent, what)
    await end(driver.handle(request))
    return request


async def open_elsewhere(
    ledger: Database, request: Json, queue: str, namespace_id: str = "an-id"
) -> None:
    """The payment stands open in the ledger, carried by a run of another namespace."""
    admitted = PaymentRequest.model_validate(request)
    opening = Opening(
        saga_id=saga_of(request),
        actor="user:u-17",
        kind="payment",
        operation_id=request["operation_id"],
        input=admitted.model_dump(mode="json"),
        fingerprint=admitted.fingerprint(),
        run=Run("elsewhere", namespace_id, queue, "a-run-there"),
    )
    await open_saga(ledger, Author(f"agent:{admitted.agent_id}", saga_of(request)), opening)


async def forget(client: Client, saga_id: str) -> None:
    """Temporal deletes its newest run, as it does after the retention."""
    handle = client.get_workflow_handle(saga_id)
    run_id = (await handle.describe()).run_id
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=saga_id, run_id=run_id),
        )
    )

    async def is_forgotten() -> bool:
        try:
            await handle.describe()
        except RPCError as error:
            return error.status == RPCStatusCode.NOT_FOUND
        return False

    await until(is_forgotten)


@dataclass(frozen=True)
class Sweeper:
    """One who asks for sweeps."""

    client: Client
    queue: str
    probe: Probe

    async def start(self, **request: Any) -> Handle:
        return await self.client.start_workflow(
            "SweepWorkflow", request, id=new_id("sweep"), task_queue=self.queue
        )

    async def sweep(self, **request: Any) -> Json:
        """What a sweep found, also of one that failed to be seen."""
        try:
            found: Json = await (await self.start(**request)).result()
        except WorkflowFailureError as failed:
            cause = failed.cause
            assert isinstance(cause, ApplicationError)
            assert cause.type == "needs_attention", cause
            return dict(cause.details[0])
        assert found["alerts"] == []
        return found

    async def start_recovery(self, saga_id: str, epoch: int = 1) -> Handle:
        """As a sweep does, for a saga that may be lost."""
        return await self.client.start_workflow(
            "RecoverySaga",
            {"saga_id": saga_id, "epoch": epoch},
            id=f"recovery/{saga_id}/{epoch}",
            task_queue=self.queue,
        )

    def recovery(self, saga_id: str, epoch: int = 1) -> Handle:
        return self.client.get_workflow_handle(f"recovery/{saga_id}/{epoch}")

    async def find(self, request: Json) -> None:
        """Sweep, and see that this one is found; it is on record as lost afterwards."""
        swept = await self.sweep()
        assert saga_of(request) in swept["recovering"]
        await until(lambda: self.probe.has_told(request, "SagaLost"))

    @asynccontextmanager
    async def losing(self, request: Json, event_type: str) -> AsyncIterator[None]:
        """The run is terminated where it would write such an event, after the block has brought it
        on its way, and found."""
        async with self.probe.refusing(request, event_type) as has_refused:
            yield
            await until(has_refused)
            await end(self.client.get_workflow_handle(saga_of(request)))
            await self.find(request)

    @asynccontextmanager
    async def recovering(self, request: Json) -> AsyncIterator[None]:
        """A payment that was lost is found, and its undo kept waiting while the block runs."""
        async with self.probe.refusing(request, "AuthorizationCompensated") as is_kept_waiting:
            await self.sweep()
            await until(is_kept_waiting)
            yield

    async def recover(self, request: Json, epoch: int = 1) -> Json:
        """Find a saga that was lost in this epoch, and give what became of it."""
        await self.find(request)
        return await self.recovered(request, epoch)

    async def recovered(self, request: Json, epoch: int = 1) -> Json:
        """The result of a saga that was found, as it stands for ever."""
        recovered: Json = await self.recovery(saga_of(request), epoch).result()
        assert recovered["how"] == "recovered"
        return dict(recovered["result"])

    async def leaves(self, request: Json) -> bool:
        """Whether a sweep leaves a saga as it is, but for the end of its run being on record."""

        async def told() -> list[str]:
            return [it for it in await self.probe.told(request) if it != "SagaRunClosed"]

        before = await told()
        found = (await self.sweep())["recovering"]
        return saga_of(request) not in found and await told() == before
