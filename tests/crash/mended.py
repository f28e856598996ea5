"""Payments that can't get on alone, and what a person says of them."""

from collections.abc import Callable

from activities.adapters.mock import FaultName
from tests.crash.play import Play
from tests.crash.scenario import Script, scenario

STEP = "execute transfer"


def driver(name: str, end: str) -> Callable[[Script], Script]:
    """A payment that asks for a person; what befalls it comes then."""
    begins_at = f"before commit {STEP}: StepAttentionRequested"
    return scenario(name, "payment/pay", end, begins_at=begins_at, is_soon_asked=True)


async def nobody_can_tell(play: Play, fault: FaultName) -> None:
    """A transfer breaks off, and the bank does not say what became of it."""
    await play.asks(45_000)
    await play.fault(fault)
    await play.fault("timeout_before", operation="find", remaining=1_000)
    await play.start()
    await play.until_asked(STEP)


async def nothing_comes_back(play: Play) -> None:
    """A payment is cancelled after the money moved, and the bank never answers the reversal."""
    await play.asks(45_000)
    # Long enough for the cancel to come, and too short for the call to hear of it: it is known that
    # the money moved.
    await play.fault("slow_after", delay_ms=400)
    await play.fault("timeout_before", operation="reverse", remaining=1_000)
    await play.cancel_when_booked()
    await play.until_asked(STEP)


@driver("payment that a person says is done", "captured")
async def said_to_be_done(play: Play) -> None:
    await nobody_can_tell(play, "timeout_after")
    reference = await play.until_booked()
    await play.answer(STEP, "resolve", outcome="done", evidence=reference)


@driver("payment that a person says has failed", "compensated")
async def said_to_have_failed(play: Play) -> None:
    await nobody_can_tell(play, "timeout_before")
    # On the telephone: they never had it, and will not take it any more.
    await play.ground.counter.cancel(play.saga_id)
    await play.answer(STEP, "resolve", outcome="failed", evidence="ticket 17")


@driver("payment that a person has looked up again", "captured")
async def looked_up_again(play: Play) -> None:
    await nobody_can_tell(play, "timeout_after")
    await play.heal()
    await play.answer(STEP, "retry", reason="the bank is back")


@driver("payment whose undo a person retries", "compensated")
async def undo_retried(play: Play) -> None:
    await nothing_comes_back(play)
    await play.heal()
    await play.answer(STEP, "retry", reason="the bank is back")


@driver("payment whose undo a person gives up", "compensated")
async def undo_given_up(play: Play) -> None:
    await nothing_comes_back(play)
    await play.answer(STEP, "skip", reason="they keep it")


@driver("payment that a person saw come back", "compensated")
async def seen_to_come_back(play: Play) -> None:
    await nothing_comes_back(play)
    await play.heal()
    # On the telephone: the bank reverses it by hand.
    report = await play.ground.counter.reverse(play.saga_id)
    await play.answer(STEP, "resolve", evidence=report.reference)
