"""Steps that run side by side: all are awaited before the undo begins, and undone side by side."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from temporalio.client import Client

from tests.infrastructure.driver import Target
from tests.sagas.conftest import start_change
from tests.support.activity_gates import Gates
from tests.support.driver import Handle, Json, new_id, types_of, until_history
from tests.support.probe import Probe
from tests.support.until import until

TURNED = "SagaCompensating"

pytestmark = pytest.mark.usefixtures("quick_heartbeat", "driver")

Start = Callable[[str], Awaitable[Handle]]


@pytest.fixture
def start(gated: Client) -> Start:
    """`await start(name)` gives a change that makes a and b side by side, and c after a."""

    return partial(start_change, gated)


async def told(probe: Probe, name: str) -> list[tuple[str, str]]:
    """What a change wrote, in order: the step or nothing, and the type of the event."""
    rows: list[Json] = await probe.ledger(
        "SELECT coalesce(step, '') AS step, event_type FROM ledger.event_log WHERE saga_id = %s"
        " ORDER BY position",
        f"change/{name}",
    )
    return [(row["step"].removeprefix(f"create {name}-"), row["event_type"]) for row in rows]


async def has_told(probe: Probe, name: str, step: str, event_type: str) -> bool:
    return (step, event_type) in await told(probe, name)


async def test_a_sibling_that_answers_late_is_awaited_before_the_epoch_is_raised(
    start: Start, probe: Probe, gates: Gates, target: Target
) -> None:
    name = new_id("late")
    async with target.hold("postgres.role", f"{name}-b"):
        handle = await start(name)
        await until(lambda: target.someone_waits("postgres.role", f"{name}-b"))
        await until(lambda: has_told(probe, name, "c", "StepDone"))
        await handle.cancel()
        await until_history(handle, "ACTIVITY_TASK_CANCEL_REQUESTED")
    assert (await handle.result())["state"] == "compensated"
    order = [each for each in await told(probe, name) if each[1] in ("StepDone", TURNED)]
    assert order[-2:] == [("b", "StepDone"), ("", TURNED)]
    assert await target.names(name) == set()


async def test_a_sibling_that_never_answers_holds_nothing_up_and_comes_too_late(
    start: Start, probe: Probe, gates: Gates, target: Target
) -> None:
    name = new_id("mute")
    frozen = gates.hold(f"change/{name}", f"apply_resource create {name}-b", "before", "frozen")
    handle = await start(name)
    await frozen.reached()
    await handle.cancel()
    assert (await handle.result())["state"] == "compensated"
    # It gave no sign of life, and the cancel let nobody try it again.
    seen = ("ACTIVITY_TASK_CANCEL_REQUESTED", "ACTIVITY_TASK_TIMED_OUT")
    history = [each for each in await types_of(handle) if each in seen]
    assert (history.count(seen[1]), history[0]) == (1, seen[0])
    frozen.opened.set()
    await until(lambda: has_told(probe, name, "b", "SagaCommitRefused"))
    assert await target.names(name) == set()


async def test_an_undo_that_can_not_go_on_holds_up_only_what_comes_before_it(
    start: Start, probe: Probe, gates: Gates, target: Target
) -> None:
    name = new_id("beside")
    saga = f"change/{name}"
    beside = gates.hold(saga, f"apply_resource create {name}-b", "before")
    last = gates.hold(saga, f"apply_resource create {name}-c", "after")
    undo_b = gates.hold(saga, f"undo_resource create {name}-b", "before")
    undo_c = gates.hold(saga, f"undo_resource create {name}-c", "before")
    handle = await start(name)
    await last.reached()
    # Not before: c begins while b runs, or b is not beside it.
    beside.opened.set()
    await until(lambda: has_told(probe, name, "b", "StepDone"))
    await handle.cancel()
    await asyncio.gather(undo_b.reached(), undo_c.reached())
    # a waits for c, which needs it, and not for b.
    assert await target.names(name) == {f"{name}-{letter}" for letter in "abc"}
    undo_c.opened.set()
    await until(lambda: has_told(probe, name, "a", "StepUndone"))
    assert await target.names(name) == {f"{name}-b"}
    undo_b.opened.set()
    assert (await handle.result())["state"] == "compensated"
    undone = [step for step, event_type in await told(probe, name) if event_type == "StepUndone"]
    assert undone == ["c", "a", "b"]
