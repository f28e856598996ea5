"""The sagas that the explorer crashes, one of each scenario; see also `lost` and `mended`."""

import asyncio
from contextlib import suppress

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from tests.crash.play import Play
from tests.crash.scenario import scenario
from tests.infrastructure.driver import database, role
from tests.support.driver import USER, Handle, policy, registration

# Long enough that a cancel is heard before the call is given up and made again: a frozen worker
# still takes two workflow tasks, and each is taken from it after TASK_TIMEOUT.
LATER_S = 5.0
PAYMENT_UNDONE = ("compensated", "voided", "failed")


@scenario("payment captured", "payment/pay", "captured")
async def captured(play: Play) -> None:
    await play.asks(45_000)
    await play.start()


@scenario("payment approved by a person", "payment/pay", "captured")
async def approved(play: Play) -> None:
    await play.asks(55_000)
    await play.submit()
    await play.tell("approve")


@scenario("payment captured by its agent", "payment/pay", "captured")
async def captured_by_its_agent(play: Play) -> None:
    await play.asks(45_000, capture="manual")
    await play.submit()
    await play.tell("capture", {"actor": f"agent:{play.agent}"})


@scenario("payment denied", "payment/pay", "denied")
async def denied(play: Play) -> None:
    await play.asks(70_000)
    await play.start()


@scenario("payment rejected", "payment/pay", "rejected")
async def rejected(play: Play) -> None:
    await play.asks(55_000)
    await play.submit()
    await play.tell("reject")


@scenario("payment expired", "payment/pay", "expired")
async def expired(play: Play) -> None:
    await play.asks(55_000, approve_within="PT0.2S")
    await play.start()


@scenario("payment refused by the bank", "payment/pay", "compensated")
async def refused_by_the_bank(play: Play) -> None:
    await play.asks(45_000)
    # Also the call that is made again.
    await play.fault("refuse", remaining=9)
    await play.start()


@scenario(
    "payment cancelled in its transfer", "payment/pay", "compensated", "captured", is_cancelled=True
)
async def cancelled_in_its_transfer(play: Play) -> None:
    await play.asks(45_000)
    await play.fault("slow_after", delay_ms=400)
    handle = await play.start()
    await play.until_booked()
    await handle.cancel()


@scenario("payment cancelled while it waits", "payment/pay", "voided", is_cancelled=True)
async def cancelled_while_it_waits(play: Play) -> None:
    await play.asks(55_000)
    await play.submit()
    await play.tell("cancel")


@scenario(
    "payment cancelled at the fault",
    "payment/pay",
    "captured",
    *PAYMENT_UNDONE,
    heartbeat_s=LATER_S,
    is_cancelled=True,
)
async def payment_cancelled_at_the_fault(play: Play) -> None:
    await play.asks(45_000)
    await cancel_at_the_fault(play, await play.start())


@scenario("payment whose answer is lost", "payment/pay", "captured")
async def whose_answer_is_lost(play: Play) -> None:
    await play.asks(45_000)
    await play.fault("timeout_after")
    await play.fault("timeout_before", operation="find")
    await play.start()


@scenario(
    "payment whose undo is retried", "payment/pay", "compensated", "captured", is_cancelled=True
)
async def whose_undo_is_retried(play: Play) -> None:
    await play.asks(45_000)
    await play.fault("slow_after", delay_ms=400)
    await play.fault("timeout_after", operation="reverse")
    handle = await play.start()
    await play.until_booked()
    await handle.cancel()


@scenario("payment taken over", "payment/pay", "captured")
async def taken_over(play: Play) -> None:
    await play.asks(55_000)
    await play.submit()
    await play.lose()
    await play.submit()
    await play.tell("approve")


@scenario("agent registered", "agent/agent", "registered")
async def agent_registered(play: Play) -> None:
    play.request = registration(play.agent) | {"operation_id": f"{play.prefix}agent"}
    await play.start()


@scenario("policy set", "policy/policy", "set")
async def policy_set(play: Play) -> None:
    play.request = policy(play.agent) | {"operation_id": f"{play.prefix}policy", **USER}
    await play.start()


@scenario("change applied", "change/change", "applied")
async def change_applied(play: Play) -> None:
    app = f"{play.prefix}app"
    await play.change("change", present=[role(app), database(f"{play.prefix}db", app)])


@scenario("change in parallel", "change/change", "applied", is_parallel=True)
async def change_in_parallel(play: Play) -> None:
    await play.change("change", present=[role(play.prefix + name) for name in ("a", "b", "c")])


@scenario("change that fails and is undone", "change/change", "compensated", is_parallel=True)
async def change_undone(play: Play) -> None:
    app, db = f"{play.prefix}app", f"{play.prefix}db"
    nobody = database(db, f"{play.prefix}nobody", depends_on=[app])
    await play.change("change", present=[role(app), role(f"{play.prefix}b"), nobody])


@scenario(
    "change cancelled at the fault",
    "change/change",
    "applied",
    "compensated",
    "failed",
    heartbeat_s=LATER_S,
    is_cancelled=True,
)
async def change_cancelled_at_the_fault(play: Play) -> None:
    first, second = role(f"{play.prefix}a"), role(f"{play.prefix}b")
    # One after the other: what a frozen worker holds of a second one would make the undo wait.
    second["depends_on"] = [first["name"]]
    await cancel_at_the_fault(play, await play.change("change", present=[first, second]))


@scenario("change rolled back", "rollback/rollback", "applied", is_parallel=True)
async def rolled_back(play: Play) -> None:
    app = f"{play.prefix}app"
    first = await play.change("first", present=[role(app), role(f"{play.prefix}b")])
    await first.result()
    await play.roll_back("first")


async def cancel_at_the_fault(play: Play, handle: Handle) -> None:
    """As soon as the fault has struck, somebody has had enough. Without a fault, nobody."""
    struck = asyncio.create_task(play.struck.wait())
    ended = asyncio.create_task(_end_of(handle))
    await asyncio.wait([struck, ended], return_when=asyncio.FIRST_COMPLETED)
    struck.cancel()
    with suppress(RPCError):  # it has ended
        await handle.cancel()
    await ended


async def _end_of(handle: Handle) -> None:
    with suppress(WorkflowFailureError):
        await handle.result()
