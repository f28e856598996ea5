"""One saga under way: what a client of any language, a person or a bad day does to it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from activities.adapters.mock import Fault, FaultName
from activities.adapters.payment import PaymentError
from tests.crash.ground import Ground
from tests.sagas.teller import USER, Handle, Json, Teller, payment, saga_of

# What a dead worker did not finish of a workflow task is given out again after this.
TASK_TIMEOUT = timedelta(seconds=1.5)


@dataclass
class Play:
    """All names of a saga begin with `prefix`, which nobody else has."""

    ground: Ground
    prefix: str
    queue: str
    request: Json = field(default_factory=dict)
    # Set when the fault has struck.
    struck: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def agent(self) -> str:
        return f"{self.prefix}bot"

    @property
    def environment(self) -> str:
        return self.prefix.strip("-")

    @property
    def _teller(self) -> Teller:
        return Teller(self.ground.client, self.queue)

    async def asks(self, pesos: int, **more: Any) -> None:
        """A new agent, and what it will ask to pay."""
        await self.ground.new_agent(self.agent)
        self.request = payment(self.agent, pesos, operation_id=f"{self.prefix}pay", **more)

    async def start(self) -> Handle:
        return await self._teller.start(self.request, task_timeout=TASK_TIMEOUT)

    async def submit(self) -> None:
        """Start it and wait for the decision."""
        await self._teller.submit(self.request, task_timeout=TASK_TIMEOUT)

    async def tell(self, update: str, by: Json = USER) -> None:
        """Somebody says something; that it may come too late is no harm."""
        with suppress(WorkflowUpdateFailedError, RPCError):
            await self._teller.tell(self.request, update, by)

    async def fault(self, name: FaultName, **more: Any) -> None:
        """Script a fault of the bank for the payment, as soon as the bank is there."""
        with_key = Fault(saga_of(self.request), name, **more)
        while True:
            try:
                return await self.ground.counter.inject(with_key)
            except PaymentError:
                await asyncio.sleep(0.1)

    async def until_booked(self) -> None:
        """Wait until the bank has the transfer."""
        query = "SELECT 1 FROM mock_bank.transfers WHERE key = %s"
        while not await self.ground.ask_bank(query, saga_of(self.request)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def change(self, name: str, **parts: Any) -> Handle:
        """A change in an environment of its own."""
        return await self._start("InfrastructureSaga", "change", name, parts)

    async def roll_back(self, change: str) -> Handle:
        """Take a change back."""
        to = f"before:{self.prefix}{change}"
        return await self._start("RollbackSaga", "rollback", "rollback", {"to": to})

    async def _start(self, workflow: str, kind: str, name: str, parts: Json) -> Handle:
        operation_id = f"{self.prefix}{name}"
        request = {"operation_id": operation_id, "actor": "user:ana", **parts}
        return await self.ground.client.start_workflow(
            workflow,
            request | {"environment": self.environment},
            id=f"{kind}/{operation_id}",
            task_queue=self.queue,
            task_timeout=TASK_TIMEOUT,
            result_type=dict,
        )
