"""One saga of each scenario: what a run of it looks like in Temporal, from start to end."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError

from starter.client.keys import Key
from tests.sagas.conftest import SWEEP_QUEUE, Inject, NewAgent
from tests.sagas.sweeping import Sweeper
from tests.support.driver import (
    USER,
    Driver,
    Handle,
    Json,
    new_id,
    payment,
    policy,
    refund,
    registration,
    saga_of,
)
from tests.support.mandates import grant
from tests.support.probe import Probe
from tests.support.signing import key_registration, new_key, signed
from tests.support.until import until
from workflows.contract.kinds import repeat_id


@dataclass(frozen=True)
class Stage:
    """All that a scenario needs."""

    driver: Driver
    probe: Probe
    inject: Inject
    new_agent: NewAgent

    @property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.driver.client, SWEEP_QUEUE, self.probe)

    async def ended(self, handle: Handle) -> Handle:
        """The same, once it has ended in whatever way."""
        with suppress(WorkflowFailureError):
            await handle.result()
        return handle

    async def play(self, request: Json) -> Handle:
        """A saga from its start to its end."""
        return await self.ended(await self.driver.start(request))

    async def decide(self, request: Json, update: str, by: Json = USER) -> Handle:
        """A saga that ends by this update."""
        await self.driver.submit(request)
        await self.driver.tell(request, update, by)
        return await self.ended(self.driver.handle(request))

    async def payment(self, pesos: int, **more: Any) -> Json:
        """One by an agent of its own."""
        return payment(await self.new_agent(), pesos, **more)

    async def lost(self) -> Json:
        """A payment whose run was terminated while it waited."""
        request = await self.payment(55_000)
        await self.driver.submit(request)
        await self.driver.handle(request).terminate()
        return request

    async def key(self, key: Key) -> Handle:
        """The saga that registers a key of user:u-17."""
        return await self.play(key_registration(key))


Scenario = Callable[[Stage], Awaitable[Handle]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    SCENARIOS[play.__name__.replace("_", "-")] = play
    return play


@scenario
async def payment_captured(stage: Stage) -> Handle:
    return await stage.play(await stage.payment(45_000))


@scenario
async def payment_submitted_twice(stage: Stage) -> Handle:
    request = await stage.payment(55_000)
    await stage.driver.submit(request)
    return await stage.decide(request, "approve")


@scenario
async def payment_captured_by_its_agent(stage: Stage) -> Handle:
    request = await stage.payment(55_000, capture="manual")
    await stage.driver.submit(request)
    await stage.driver.tell(request, "approve")
    await stage.driver.tell(request, "capture", {"actor": f"agent:{request['agent_id']}"})
    return await stage.ended(stage.driver.handle(request))


@scenario
async def payment_captured_in_parts(stage: Stage) -> Handle:
    request = await stage.payment(45_000, capture="manual")
    await stage.inject(request, "refuse", number=2)
    await stage.driver.submit(request)
    by = {"actor": f"agent:{request['agent_id']}"}
    for minor in (1_000_000, 2_000_000, 3_000_000):
        with suppress(WorkflowUpdateFailedError):
            await stage.driver.tell(request, "capture", {**by, "amount_minor": minor})
    await stage.driver.tell(request, "capture", by)
    return await stage.ended(stage.driver.handle(request))


@scenario
async def payment_of_which_the_rest_is_void(stage: Stage) -> Handle:
    request = await stage.payment(45_000, capture="manual")
    await stage.driver.submit(request)
    await stage.driver.tell(request, "capture", {**USER, "amount_minor": 1_000_000})
    return await stage.decide(request, "void")


@scenario
async def payment_approved_for_less(stage: Stage) -> Handle:
    less = {**USER, "amount_minor": 1_000_000}
    return await stage.decide(await stage.payment(55_000), "approve", less)


@scenario
async def payment_denied(stage: Stage) -> Handle:
    return await stage.play(await stage.payment(70_000))


@scenario
async def key_registered(stage: Stage) -> Handle:
    return await stage.key(new_key())


@scenario
async def payment_with_an_approval_that_is_signed(stage: Stage) -> Handle:
    request, key = await stage.payment(55_000), new_key()
    await stage.key(key)
    await stage.driver.submit(request)
    for by in (new_key(), key):
        with suppress(WorkflowUpdateFailedError):
            await stage.driver.tell(request, "approve", signed(by, request, "approve", USER))
    return await stage.ended(stage.driver.handle(request))


@scenario
async def refund_executed_after_a_doubt(stage: Stage) -> Handle:
    await stage.play(paid := await stage.payment(45_000))
    asked = refund(paid, 15_000)
    await stage.inject(asked, "timeout_after", operation="refund")
    return await stage.play(asked)


@scenario
async def refund_denied(stage: Stage) -> Handle:
    await stage.play(paid := await stage.payment(70_000))
    return await stage.play(refund(paid))


@scenario
async def refund_refused_by_the_bank(stage: Stage) -> Handle:
    await stage.play(paid := await stage.payment(45_000))
    asked = refund(paid)
    await stage.inject(asked, "refuse", operation="refund")
    return await stage.play(asked)


@scenario
async def refund_withdrawn_while_it_is_in_doubt(stage: Stage) -> Handle:
    await stage.play(paid := await stage.payment(45_000))
    asked = refund(paid)
    await stage.inject(asked, "timeout_before", operation="refund")
    await stage.inject(asked, "timeout_before", operation="find")
    await stage.driver.start(asked)
    await until(lambda: stage.driver.is_in(asked, "resolving"))
    await stage.driver.tell(asked, "cancel")
    return await stage.ended(stage.driver.handle(asked))


@scenario
async def payment_rejected(stage: Stage) -> Handle:
    return await stage.decide(await stage.payment(55_000), "reject")


@scenario
async def payment_expired(stage: Stage) -> Handle:
    return await stage.play(await stage.payment(55_000, approve_within="PT0.2S"))


@scenario
async def payment_voided(stage: Stage) -> Handle:
    return await stage.decide(await stage.payment(45_000, capture="manual"), "cancel")


@scenario
async def payment_refused_by_the_bank(stage: Stage) -> Handle:
    request = await stage.payment(45_000)
    await stage.inject(request, "refuse")
    return await stage.play(request)


@scenario
async def payment_cancelled_in_its_transfer(stage: Stage) -> Handle:
    return await stage.ended(await _cancelled(stage, await stage.payment(45_000)))


@scenario
async def payment_looked_up(stage: Stage) -> Handle:
    request = await stage.payment(45_000)
    await stage.inject(request, "timeout_after")
    await stage.inject(request, "timeout_before", operation="find")
    return await stage.play(request)


@scenario
async def payment_captured_after_a_doubt(stage: Stage) -> Handle:
    request = await stage.payment(45_000, capture="manual")
    await stage.inject(request, "timeout_after")
    await stage.inject(request, "timeout_before", operation="find")
    return await stage.decide(request, "capture")


@scenario
async def payment_whose_capture_the_bank_refuses(stage: Stage) -> Handle:
    request = await stage.payment(45_000, capture="manual")
    await stage.inject(request, "refuse")
    return await stage.decide(request, "capture")


@scenario
async def payment_whose_undo_a_person_mends(stage: Stage) -> Handle:
    request = await stage.payment(45_000)
    await stage.inject(request, "timeout_before", operation="reverse", remaining=1_000)
    handle = await _cancelled(stage, request)

    async def pauses() -> bool:
        step = await stage.driver.step(request, "execute transfer")
        return "skip" in step.get("verbs", []) and step["tries"] >= 2

    said = {**USER, "step": "execute transfer"}
    await until(pauses)
    await stage.driver.tell(request, "retry", said)
    await until(pauses)
    await stage.driver.tell(request, "skip", {**said, "reason": "they keep it"})
    return await stage.ended(handle)


@scenario
async def payment_whose_undo_is_delayed(stage: Stage) -> Handle:
    request = await stage.payment(45_000)
    await stage.inject(request, "timeout_before", operation="reverse", remaining=1_000)
    handle = await _cancelled(stage, request)
    await until(lambda: stage.probe.has_told(request, "StepUndoDelayed"))
    await stage.probe.heal(request)
    return await stage.ended(handle)


async def _cancelled(stage: Stage, request: Json) -> Handle:
    await stage.inject(request, "slow_after", delay_ms=300)
    handle = await stage.driver.start(request)
    await stage.probe.until_booked(request)
    await handle.cancel()
    return handle


@scenario
async def payment_taken_over(stage: Stage) -> Handle:
    return await stage.decide(await stage.lost(), "approve")


@scenario
async def payment_recovered(stage: Stage) -> Handle:
    request = await stage.lost()
    await stage.sweeper.recover(request)
    return await stage.ended(stage.driver.handle(request))


@scenario
async def recovery(stage: Stage) -> Handle:
    request = await stage.lost()
    await stage.sweeper.recover(request)
    return await stage.ended(stage.sweeper.recovery(saga_of(request)))


@scenario
async def sweep(stage: Stage) -> Handle:
    request = await stage.lost()
    handle = await stage.ended(await stage.sweeper.start())
    await stage.ended(stage.sweeper.recovery(saga_of(request)))
    return handle


@scenario
async def payment_repeated_after_its_end(stage: Stage) -> Handle:
    request = await stage.payment(45_000)
    await stage.driver.run(request)
    return await stage.play(request)


@scenario
async def payment_under_a_used_id(stage: Stage) -> Handle:
    request = await stage.payment(45_000)
    await stage.driver.run(request)
    return await stage.play({**request, "description": "another"})


@scenario
async def payment_answered_from_its_record(stage: Stage) -> Handle:
    request = await stage.payment(45_000)
    await stage.driver.run(request)
    repeat = repeat_id(saga_of(request), new_id("again"))
    return await stage.ended(await stage.driver.start(request, id=repeat))


@scenario
async def payment_refused_under_a_used_id(stage: Stage) -> Handle:
    return await payment_under_a_used_id(stage)


@scenario
async def payment_with_a_submit_that_differs(stage: Stage) -> Handle:
    request = await stage.payment(45_000)
    with pytest.raises(WorkflowUpdateFailedError):
        await stage.driver.start_with(request, "submit", {**request, "description": "another"})
    return await stage.ended(stage.driver.handle(request))


@scenario
async def payment_with_bad_input(stage: Stage) -> Handle:
    return await stage.play({**payment("bot", 45_000), "capture": "?"})


@scenario
async def agent_registered(stage: Stage) -> Handle:
    return await stage.play(registration(new_id("bot")))


@scenario
async def agent_unknown(stage: Stage) -> Handle:
    return await stage.play(registration(new_id("bot"), "revoke"))


@scenario
async def policy_set(stage: Stage) -> Handle:
    return await stage.play(policy(new_id("bot")))


@scenario
async def mandate_granted(stage: Stage) -> Handle:
    return await stage.play(grant(new_id("bot")))


@scenario
async def mandate_refused(stage: Stage) -> Handle:
    return await stage.play(grant(new_id("bot"), new_id("nobody")))


@scenario
async def reconcile_agreed(stage: Stage) -> Handle:
    time = {"begins_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z"}
    return await stage.play({"operation_id": new_id("rec"), "listing": time, **USER})


@scenario
async def reconcile_refused(stage: Stage) -> Handle:
    file = {"name": "nowhere.xml", "sha256": "0" * 64}
    return await stage.play({"operation_id": new_id("rec"), "statement": file, **USER})


@scenario
async def case_unknown(stage: Stage) -> Handle:
    close = {"case_id": "0" * 32, "evidence": "a letter", **USER}
    return await stage.play({"operation_id": new_id("close"), **close})
