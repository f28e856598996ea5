"""Cancel at every await of a saga, however far it has come, once and twice: it is always undone to
its end, or too late for that, and never stuck. docs/cancellation.md has the table."""

import asyncio
from dataclasses import dataclass, field

import pytest
from temporalio.client import Client

from tests.sagas.cancellation import (
    ANSWERS,
    BEFORE,
    COLUMNS,
    DEAF,
    RUNNING,
    TASK,
    UNDOING,
    UPDATE_ACCEPTED,
    WAYS,
    Act,
    Canceller,
    Ends,
    Stand,
    Stops,
    Waits,
    answer_of,
    cancel_what_hears,
    cancel_what_is_deaf,
    compare,
    end_of,
    ends_at,
    types_of,
    until_admitted,
    until_told,
)
from tests.sagas.conftest import GATED, Inject, NewAgent, Place, working_for
from tests.support.driver import USER, Driver, Handle, Json, payment, saga_of
from tests.support.probe import Probe

# Whoever waits for this is cancelled.
HANGS_MS = 60_000

pytestmark = pytest.mark.usefixtures("quick_heartbeat")


WAIT = (BEFORE, RUNNING, UNDOING)
PAYMENT = "payment"
APPROVAL, CAPTURE = "wait for the approval", "wait for the capture"
PAUSE, SETTLE = "pause before the look-up", "settle (past the pivot)"
PAYMENTS: dict[str, tuple[str, ...]] = {
    "authorize": COLUMNS,
    APPROVAL: WAIT,
    "approve": COLUMNS,
    CAPTURE: WAIT,
    "execute transfer": COLUMNS,
    PAUSE: WAIT,
    SETTLE: DEAF,
    "undo: begin compensation": DEAF,
    "undo: reverse the transfer": DEAF,
    "undo: release the spend": DEAF,
    "undo: read the end": (BEFORE, ANSWERS),
    "undo: close": DEAF,
}
ACTS = {
    "authorize": Act("authorize authorize", "AuthorizationRequested"),
    "approve": Act("approve_authorization approve", "AuthorizationApproved"),
    "execute transfer": Act("execute_transfer execute transfer"),
    SETTLE: Act("settle_authorization settle", "AuthorizationCaptured"),
    "undo: begin compensation": Act("begin_compensation", "SagaCompensating"),
    "undo: reverse the transfer": Act("reverse_transfer execute transfer", "TransferReversed"),
    "undo: release the spend": Act("release_authorization authorize", "AuthorizationCompensated"),
    "undo: read the end": Act("read_authorization"),
    "undo: close": Act("close_saga", "SagaCompensated"),
}
BEFORE_A_WAIT = {
    APPROVAL: ACTS["authorize"],
    CAPTURE: ACTS["authorize"],
    PAUSE: Act("note_unknown execute transfer"),
}
FIRST_UNDO = {
    "authorize": "undo: begin compensation",
    "execute transfer": "undo: reverse the transfer",
    PAUSE: "undo: reverse the transfer",
}


@dataclass(frozen=True)
class Payments:
    """Payments, each with an agent of its own, brought to where a test says."""

    driver: Driver
    probe: Probe
    stops: Stops
    inject: Inject
    new_agent: NewAgent

    async def cancel_at(self, row: str, column: str, way: tuple[str, ...]) -> str:
        """The end of a payment that is cancelled at this position."""
        request = await self.request(row)
        undone = row.startswith("undo")
        late = undone or column == UNDOING
        first = await self.stand(
            request, "execute transfer" if undone else row, RUNNING if late else column
        )
        handle = await self._start(request, row)
        if not late:
            past_pivot = row == SETTLE
            meet = cancel_what_is_deaf if past_pivot else cancel_what_hears
            canceller = await meet(handle, first, way)
            may = {"not_allowed"} if past_pivot else {"accepted", "not_allowed", "ended"}
            assert await canceller.answers() <= may
            return await self.end(request, handle)
        await first.reached()
        undo = row if undone else FIRST_UNDO.get(row, "undo: release the spend")
        later = await self.stops.at(saga_of(request), ACTS[undo], column)
        turning = await cancel_what_hears(handle, first, ["update"])
        again = await cancel_what_is_deaf(handle, later, way)
        assert await again.answers() <= {"not_allowed"}
        assert await turning.answers() == {"accepted"}
        return await self.end(request, handle)

    async def request(self, row: str, pauses: int = 3) -> Json:
        agent = await self.new_agent()
        if row in (APPROVAL, "approve"):
            return payment(agent, 55_000)
        capture = "manual" if row == CAPTURE else "automatic"
        request = payment(agent, 45_000, capture=capture)
        if row == PAUSE:
            await self.inject(request, "timeout_after")
            await self.inject(request, "timeout_before", operation="find", remaining=pauses - 1)
        return request

    async def stand(self, request: Json, row: str, column: str) -> Stand:
        saga = saga_of(request)
        if row in BEFORE_A_WAIT:
            if column == BEFORE:
                return await self.stops.at(saga, BEFORE_A_WAIT[row], ANSWERS)
            if row == PAUSE:
                return InPause(self.driver.handle(request))
            return Waits(lambda: self._waits(request, row.rpartition(" ")[2]))
        if row == "execute transfer" and column == RUNNING:
            await self.inject(request, "slow_after", delay_ms=HANGS_MS)
            return Waits(lambda: self.probe.is_booked_as(request, "executed"))
        return await self.stops.at(saga, ACTS[row], column)

    async def _waits(self, request: Json, what: str) -> bool:
        return bool((await self.driver.progress(request))["waits_for"] == what)

    async def _start(self, request: Json, row: str) -> Handle:
        if row != "approve":
            return await self.driver.start(request, task_timeout=TASK)
        await self.driver.submit(request, task_timeout=TASK)
        handle = self.driver.handle(request)
        approving = asyncio.create_task(handle.execute_update("approve", USER))
        approving.add_done_callback(lambda done: done.exception())  # refused, since it is undone
        return handle

    async def end(self, request: Json, handle: Handle) -> str:
        """How it ended; whatever it held is given back."""
        end = await end_of(handle)
        captured = end == "captured"
        assert await self.probe.spent(request["agent_id"]) == ((45_000, 1) if captured else (0, 0))
        assert await self.probe.is_booked_as(request, "executed") == captured
        told = await self.probe.told(request)
        assert max(told.count(it) for it in ("SagaCompensating", "TransferReversed")) <= 1
        saga = await self.probe.saga(request)
        assert saga["state"] in ("completed" if captured else "compensated", end.split(" ")[0])
        return end


@dataclass(frozen=True)
class InPause:
    """In a pause that is long enough to be met: the third is one of two seconds."""

    handle: Handle
    number: int = 3

    async def reached(self) -> None:
        await until_told(self.handle, "TIMER_STARTED", self.number)

    async def hears(self) -> bool:
        await until_told(self.handle, "TIMER_CANCELED")
        return True

    async def let_go(self) -> None:
        pass


async def test_a_payment_that_is_cancelled_at_any_await_is_undone_or_captured(
    gated: Client, probe: Probe, stops: Stops, inject: Inject, new_agent: NewAgent
) -> None:
    payments = Payments(Driver(gated, GATED), probe, stops, inject, new_agent)
    cells = [(row, column) for row, columns in PAYMENTS.items() for column in columns]
    compare(PAYMENT, await ends_at(cells, payments.cancel_at))


async def test_a_decision_and_a_cancel_in_one_task_end_in_an_undo(
    client: Client, place: Place, probe: Probe, stops: Stops, inject: Inject, new_agent: NewAgent
) -> None:
    """Nobody works while both arrive: the worker that comes back gets them in the same task."""
    payments = Payments(Driver(client, "cancelled-at-once"), probe, stops, inject, new_agent)
    at = [
        AtOnce(payments, row, way, await payments.request(row, pauses=4))
        for row in BEFORE_A_WAIT
        for way in WAYS
    ]
    async with working_for(client, place, "cancelled-at-once"):
        await asyncio.gather(*(each.reach() for each in at))
    await asyncio.gather(*(each.send() for each in at))
    async with working_for(client, place, "cancelled-at-once"):
        ends: Ends = {}
        for each in at:
            ends.setdefault((each.row, ANSWERS), set()).add(await each.end())
    compare(PAYMENT, ends)


@dataclass
class AtOnce:
    """A payment that gets what it waits for at once with a cancel."""

    payments: Payments
    row: str
    way: tuple[str, ...]
    request: Json
    length: int = 0
    deciding: asyncio.Task[Json] = field(init=False)

    @property
    def handle(self) -> Handle:
        return self.payments.driver.handle(self.request)

    async def reach(self) -> None:
        handle = await self.payments.driver.start(self.request)
        at = await self.payments.stand(self.request, self.row, RUNNING)
        await (InPause(handle, 4) if self.row == PAUSE else at).reached()

    async def send(self) -> None:
        client, self.length = self.payments.driver.client, len(await types_of(self.handle))
        if self.row == PAUSE:
            await until_told(self.handle, "TIMER_FIRED", 4)
        else:
            decision = {APPROVAL: "approve", CAPTURE: "capture"}[self.row]
            update = self.handle.execute_update(decision, USER, id=decision)
            self.deciding = asyncio.create_task(update)
            await until_admitted(client, self.handle, decision)
        canceller = Canceller(self.handle, self.way)
        await canceller.cancel()
        await canceller.until_it_is_sent(client)

    async def end(self) -> str:
        """How it ended; proves that all came in one task."""
        end = await self.payments.end(self.request, self.handle)
        told = (await types_of(self.handle))[self.length :]
        done = [n for n, each in enumerate(told) if each == "WORKFLOW_TASK_COMPLETED"]
        # Up to the end of the second task, if there is one, or of the saga.
        came = told[: [*done, None][1]]
        waited = self.row != PAUSE
        assert came.count("TIMER_FIRED") == (not waited)
        assert came.count("WORKFLOW_EXECUTION_CANCEL_REQUESTED") == self.way.count("temporal")
        assert came.count(UPDATE_ACCEPTED) == waited + self.way.count("update")
        if waited:
            # Taken, and then undone; or no longer wanted.
            assert await answer_of(self.deciding) in ("accepted", "not_allowed")
        return end
