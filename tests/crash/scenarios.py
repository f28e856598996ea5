"""The sagas that the explorer crashes, one of each scenario; see also `mended`."""

import asyncio
from contextlib import suppress

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from tests.crash.play import Play
from tests.crash.scenario import payment, scenario
from tests.infrastructure.driver import database, role
from tests.support.driver import USER, Handle, policy, registration

# Long enough that a cancel is heard before the call is given up and made again: a frozen worker
# still takes two workflow tasks, and each is taken from it after TASK_TIMEOUT.
LATER_S = 5.0
PAYMENT_UNDONE = ("compensated", "voided", "failed")


payment("payment captured", 45_000, "captured")
payment("payment approved by a person", 55_000, "captured", tells="approve")
payment("payment captured by its agent", 45_000, "captured", tells="capture", capture="manual")


@scenario("payment captured in two parts", "payment/pay", "captured")
async def captured_in_two_parts(play: Play) -> None:
    await play.asks(45_000, capture="manual")
    await play.submit()
    by = {"actor": f"agent:{play.agent}"}
    await play.tell("capture", {**by, "amount_minor": 2_000_000})
    await play.tell_until_it_ends("capture", by)


payment("payment denied", 70_000, "denied")
payment("payment rejected", 55_000, "rejected", tells="reject")
payment("payment expired", 55_000, "expired", approve_within="PT0.2S")
# Also the call that is made again is refused.
REFUSED = {"name": "refuse", "remaining": 9}
payment("payment refused by the bank", 45_000, "compensated", faults=[REFUSED])


@scenario(
    "payment cancelled in its transfer", "payment/pay", "compensated", "captured", is_cancelled=True
)
async def cancelled_in_its_transfer(play: Play) -> None:
    await play.asks(45_000)
    await play.fault("slow_after", delay_ms=400)
    await play.cancel_when_booked()


payment("payment cancelled while it waits", 55_000, "voided", tells="cancel", is_cancelled=True)


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


NOT_TOLD = {"name": "timeout_before", "operation": "find"}
payment(
    "payment whose answer is lost", 45_000, "captured", faults=[{"name": "timeout_after"}, NOT_TOLD]
)


@scenario(
    "payment whose undo is retried", "payment/pay", "compensated", "captured", is_cancelled=True
)
async def whose_undo_is_retried(play: Play) -> None:
    await play.asks(45_000)
    await play.fault("slow_after", delay_ms=400)
    await play.fault("timeout_after", operation="reverse")
    await play.cancel_when_booked()


@scenario("payment taken over", "payment/pay", "captured")
async def taken_over(play: Play) -> None:
    await play.asks(55_000)
    await play.submit()
    await play.lose()
    await play.submit()
    await play.tell("approve")


# A sweep finds what Temporal lost, and a recovery carries it to its end.
payment("payment lost in its transfer", 45_000, "compensated", lost_at="after bank transfer")
PAST = "after commit execute transfer: StepDone"
payment("payment lost past its transfer", 45_000, "captured", lost_at=PAST)
UNDO = "before commit authorize: StepUndone"
payment(
    "payment lost in its undo", 45_000, "compensated", faults=[{"name": "refuse"}], lost_at=UNDO
)


@scenario("change lost on its way", "change/change", "compensated", lost_at="after target apply db")
async def change_lost(play: Play) -> None:
    app = f"{play.prefix}app"
    await play.change("change", present=[role(app), database(f"{play.prefix}db", app)])
    await play.recover()


@scenario("payment refunded", "refund/back", "refunded")
async def payment_refunded(play: Play) -> None:
    await play.refunds(45_000)
    await play.start()


@scenario("refund whose answer is lost", "refund/back", "refunded")
async def refund_whose_answer_is_lost(play: Play) -> None:
    await play.refunds(45_000)
    await play.fault("timeout_after", operation="refund")
    await play.fault("timeout_before", operation="find")
    await play.start()


@scenario(
    "refund cancelled in its transfer",
    "refund/back",
    "refunded",
    "failed",
    "voided",
    is_cancelled=True,
)
async def refund_cancelled(play: Play) -> None:
    await play.refunds(45_000)
    await play.fault("slow_after", operation="refund", delay_ms=400)
    await play.cancel_when_booked()


@scenario("agent registered", "agent/agent", "registered")
async def agent_registered(play: Play) -> None:
    play.request = registration(play.agent) | {"operation_id": f"{play.prefix}agent"}
    await play.start()


@scenario("statement reconciled", "reconcile/rec", "agreed")
async def statement_reconciled(play: Play) -> None:
    time = {"begins_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z"}
    play.request = {"operation_id": f"{play.prefix}rec", "listing": time, **USER}
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
