"""One saga under way: what a client of any language, a person or a bad day does to it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, LiteralString

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from activities.adapters.mock import Fault, FaultName
from activities.adapters.payment import PaymentError
from tests.crash.ground import Ground, sweep_queue
from tests.crash.orders import TASK_TIMEOUT
from tests.support.driver import USER, Driver, Handle, Json, payment, refund, saga_of

_HAS_ENDED: LiteralString = (
    "SELECT 1 FROM ledger.sagas WHERE workflow_id = %s AND ended_at IS NOT NULL"
)
_ASKS: LiteralString = (
    "SELECT 1 FROM ledger.saga_steps WHERE saga_id = %s AND name = %s AND attention IS NOT NULL"
)
_EPOCH: LiteralString = "SELECT epoch FROM ledger.sagas WHERE workflow_id = %s"


@dataclass
class Play:
    """All names of a saga begin with `prefix`, which nobody else has."""

    ground: Ground
    prefix: str
    queue: str
    saga_id: str
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
    def _teller(self) -> Driver:
        return Driver(self.ground.client, self.queue)

    async def asks(self, pesos: int, **more: Any) -> None:
        """A new agent, and what it will ask to pay."""
        await self.ground.new_agent(self.agent)
        self.request = payment(self.agent, pesos, operation_id=f"{self.prefix}pay", **more)

    async def refunds(self, pesos: int) -> None:
        """A captured payment of a new agent, and the refund of all of it that will be asked for."""
        await self.asks(pesos)
        await (await self.start()).result()
        self.request = refund(self.request, operation_id=f"{self.prefix}back")

    async def start(self) -> Handle:
        return await self._teller.start(self.request, task_timeout=TASK_TIMEOUT)

    async def submit(self) -> None:
        """Start it and wait for the decision."""
        await self._teller.submit(self.request, task_timeout=TASK_TIMEOUT)

    async def tell(self, update: str, by: Json = USER) -> None:
        """Somebody says something; that it may come too late is no harm."""
        with suppress(WorkflowUpdateFailedError, RPCError):
            await self._teller.tell(self.request, update, by)

    async def tell_until_it_ends(self, update: str, by: Json) -> None:
        """Say something again and again, as who is refused while something else is under way."""
        while not await self.ground.ask(_HAS_ENDED, self.saga_id):
            await self.tell(update, by)
            await asyncio.sleep(0.05)

    async def fault(self, name: FaultName, **more: Any) -> None:
        """Script a fault of the bank for the payment, as soon as the bank is there."""
        with_key = Fault(saga_of(self.request), name, **more)
        while True:
            try:
                return await self.ground.counter.inject(with_key)
            except PaymentError:
                await asyncio.sleep(0.1)

    async def heal(self) -> None:
        """The bank makes no mistakes any more with this payment."""
        heal = "UPDATE mock_bank.faults SET remaining = 0 WHERE key = %s RETURNING key"
        await self.ground.ask_bank(heal, self.saga_id)

    async def until_booked(self) -> str:
        """Wait until the bank has the transfer; returns the bank's name for it."""
        query = "SELECT reference FROM mock_bank.transfers WHERE key = %s"
        while not (rows := await self.ground.ask_bank(query, self.saga_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return str(rows[0]["reference"])

    async def cancel_when_booked(self) -> None:
        """Start it, and cancel it once the money has moved."""
        handle = await self.start()
        await self.until_booked()
        await handle.cancel()

    async def until_asked(self, step: str) -> None:
        """Wait until the step asks for a person."""
        while not await self._asks(step):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def answer(self, step: str, verb: str, **more: Any) -> None:
        """Whenever the step asks for a person, one says this, until the saga has ended."""
        while not await self.ground.ask(_HAS_ENDED, self.saga_id):
            if await self._asks(step):
                await self.tell(verb, USER | {"step": step, **more})
            await asyncio.sleep(0.05)

    async def _asks(self, step: str) -> bool:
        return bool(await self.ground.ask(_ASKS, self.saga_id, step))

    async def lose(self) -> None:
        """Somebody terminates the run."""
        await self._handle(self.saga_id).terminate("lost, as the explorer wants it")

    async def recover(self) -> None:
        """As soon as the run is lost, a sweep finds the saga, and a recovery carries it on."""
        await self.struck.wait()
        (saga,) = await self.ground.ask(_EPOCH, self.saga_id)
        await self.ground.client.execute_workflow(
            "SweepWorkflow",
            {},
            id=f"sweep-{self.saga_id}",
            task_queue=sweep_queue(self.queue),
            task_timeout=TASK_TIMEOUT,
        )
        await self._handle(f"recovery/{self.saga_id}/{saga['epoch']}").result()

    def _handle(self, workflow_id: str) -> Handle:
        return self.ground.client.get_workflow_handle(workflow_id)

    async def change(self, name: str, **parts: Any) -> Handle:
        """A change in an environment of its own."""
        return await self.start_saga(
            "InfrastructureSaga", "change", name, environment=self.environment, **parts
        )

    async def roll_back(self, change: str) -> Handle:
        """Take a change back."""
        to = f"before:{self.prefix}{change}"
        return await self.start_saga(
            "RollbackSaga", "rollback", "rollback", environment=self.environment, to=to
        )

    async def start_saga(self, workflow: str, kind: str, name: str, **parts: Any) -> Handle:
        """A saga of this workflow type, with these parts of its request."""
        operation_id = f"{self.prefix}{name}"
        return await self.ground.client.start_workflow(
            workflow,
            {"operation_id": operation_id, "actor": "user:ana", **parts},
            id=f"{kind}/{operation_id}",
            task_queue=self.queue,
            task_timeout=TASK_TIMEOUT,
            result_type=dict,
        )
