"""Cancel at every await of a change whose resources are made side by side: c needs a, b is alone.

It is always undone to its end, or too late for that, and never stuck. docs/cancellation.md has the
table.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import LiteralString

import pytest
from temporalio.client import Client

from tests.infrastructure.driver import Target
from tests.sagas.cancellation import (
    ANSWERS,
    BEFORE,
    COLUMNS,
    DEAF,
    LOST,
    RUNNING,
    TASK,
    UNDOING,
    Act,
    Both,
    Stand,
    Stops,
    cancel_what_hears,
    cancel_what_is_deaf,
    compare,
    end_of,
    ends_at,
    types_of,
)
from tests.sagas.conftest import start_change
from tests.support.driver import Handle, new_id
from tests.support.probe import Probe
from tests.support.until import until

WAYS = (("temporal",), ("update", "temporal"))
CHANGE = "change"

CHANGES: dict[str, tuple[str, ...]] = {
    "plan": COLUMNS,
    "apply a, beside b": COLUMNS,
    "apply c after a, beside b": COLUMNS,
    "close": DEAF,
    "undo: begin compensation": DEAF,
    "undo: c": DEAF,
    "undo: a, beside b": DEAF,
    "undo: close": DEAF,
}
ACTS = {
    "plan": Act("read_resources plan", "StepCommitted"),
    "apply a, beside b": Act("apply_resource create {}-a"),
    "apply b": Act("apply_resource create {}-b"),
    "apply c after a, beside b": Act("apply_resource create {}-c"),
    "close": Act("close_saga", "SagaCompleted"),
    "undo: begin compensation": Act("begin_compensation", "SagaCompensating"),
    "undo: c": Act("undo_resource create {}-c"),
    "undo: a, beside b": Act("undo_resource create {}-a"),
    "undo: b": Act("undo_resource create {}-b"),
    "undo: close": Act("close_saga", "SagaCompensated"),
}

pytestmark = pytest.mark.usefixtures("quick_heartbeat")


@dataclass
class AtTarget:
    """In the middle of a call: the target server stands still there."""

    target: Target
    handle: Handle
    name: str
    held: AsyncExitStack = field(default_factory=AsyncExitStack)
    heard: int = 0

    async def hold(self) -> "AtTarget":
        await self.held.enter_async_context(self.target.hold("postgres.role", self.name))
        return self

    async def reached(self) -> None:
        await until(lambda: self.target.someone_waits("postgres.role", self.name))
        self.heard = await self._cancels()

    async def hears(self) -> bool:
        return await self._cancels() > self.heard

    async def let_go(self) -> None:
        await self.held.aclose()

    async def _cancels(self) -> int:
        return (await types_of(self.handle)).count("ACTIVITY_TASK_CANCEL_REQUESTED")


@dataclass(frozen=True)
class Changes:
    """Changes of three roles, brought to where a test says."""

    client: Client
    probe: Probe
    stops: Stops
    target: Target

    async def cancel_at(self, row: str, column: str, way: tuple[str, ...]) -> str:
        """The end of a change that is cancelled at this position."""
        name = new_id("gone")
        handle = self.client.get_workflow_handle(f"change/{name}")
        undone = row.startswith("undo")
        if not undone and column != UNDOING:
            first = await self._stand(name, row, column)
            await start_change(self.client, name, task_timeout=TASK)
            meet = cancel_what_is_deaf if row == "close" else cancel_what_hears
            canceller = await meet(handle, first, way)
            assert await canceller.answers() <= {"accepted", "not_allowed", "ended"}
            return await self._end(name, handle)
        # Where all three are made, or what has begun by then.
        at = ("apply c after a, beside b", LOST) if undone else (row, RUNNING)
        first = await self._stand(name, *at)
        await start_change(self.client, name, task_timeout=TASK)
        await first.reached()
        later = await self._stand(name, row if undone else _first_undo(row), column)
        turning = await cancel_what_hears(handle, first, ["update"])
        again = await cancel_what_is_deaf(handle, later, way)
        assert await again.answers() <= {"not_allowed"}
        assert await turning.answers() == {"accepted"}
        return await self._end(name, handle)

    async def _stand(self, name: str, row: str, column: str) -> Stand:
        stand = await self._stand_alone(name, row, column)
        if not row.endswith("beside b"):
            return stand
        beside = ("undo: b", BEFORE) if row.startswith("undo") else ("apply b", ANSWERS)
        return Both(stand, await self._stand_alone(name, *beside))

    async def _stand_alone(self, name: str, row: str, column: str) -> Stand:
        act = Act(ACTS[row].place.format(name), ACTS[row].event)
        if act.event or column != RUNNING:
            return await self.stops.at(f"change/{name}", act, column)
        handle = self.client.get_workflow_handle(f"change/{name}")
        return await AtTarget(self.target, handle, act.place.rpartition(" ")[2]).hold()

    async def _end(self, name: str, handle: Handle) -> str:
        """How it ended; whatever it made is gone."""
        end = await end_of(handle)
        made = {f"{name}-{letter}" for letter in "abc"} if end == "applied" else set()
        assert await self.target.names(name) == made
        query: LiteralString = "SELECT state FROM ledger.sagas WHERE workflow_id = %s"
        [saga] = await self.probe.ledger(query, handle.id)
        assert saga["state"] == ("completed" if made else end.split(" ")[0])
        return end


def _first_undo(row: str) -> str:
    if row == "plan":
        return "undo: begin compensation"
    return "undo: c" if " c " in row else "undo: a, beside b"


async def test_a_change_that_is_cancelled_at_any_await_is_undone_or_applied(
    gated: Client, probe: Probe, stops: Stops, target: Target
) -> None:
    changes = Changes(gated, probe, stops, target)
    cells = [(row, column) for row, columns in CHANGES.items() for column in columns]
    compare(CHANGE, await ends_at(cells, changes.cancel_at, WAYS))
