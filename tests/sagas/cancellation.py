"""`python -m tests.sagas.cancellation`: cancel at every await, and write docs/cancellation.md.

A position is an await of a saga and how far it has come. A test brings a saga there, proves it by a
fact (a closed gate, a commit that stands still, a bank that is busy), cancels once or twice, and
compares the end with the table.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import Client, RPCError, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCStatusCode

from tests.support.activity_gates import Gates, Manner, Standstill, When
from tests.support.driver import Handle, Json, new_id, until_history
from tests.support.driver import types_of as types_of
from tests.support.until import until

DOCUMENT = Path(__file__).parents[2] / "docs" / "cancellation.md"
WRITE = "AMENDS_WRITE_CANCELLATION"
COLUMNS = BEFORE, RUNNING, LOST, ANSWERS, UNDOING = (
    "before it begins",
    "while it runs",
    "done, its answer lost",
    "done, and it answers",
    "during its undo",
)
NONE = "-"

# Where nothing hears of a cancel any more.
DEAF = (BEFORE, RUNNING, ANSWERS)
# An activity of ours that runs hears of a cancel after four fifths of this.
TASK = timedelta(seconds=4)
# Once, and twice.
WAYS = (("temporal",), ("update",), ("update", "temporal"))
UPDATE_ACCEPTED = "WORKFLOW_EXECUTION_UPDATE_ACCEPTED"
BY = {"actor": "user:u-18", "reason": "changed my mind"}

# Few of them hold a commit, and with it one of the worker's twenty connections.
AT_ONCE = 20
# Many look at once, and a busy worker loses its tasks.
LOOK_AGAIN_S = 0.2

Cell = tuple[str, str]
Ends = dict[Cell, set[str]]


class Stand(Protocol):
    """Where a saga stands until it is let go."""

    async def reached(self) -> None:
        """Wait until it stands there."""

    async def hears(self) -> bool:
        """Whether the cancel has reached it there."""

    async def let_go(self) -> None:
        """Let it go on, if the cancel has not."""


@dataclass(frozen=True)
class InCommit:
    """In the middle of a commit, before a certain event."""

    standstill: Standstill
    saga_id: str
    event: str

    async def reached(self) -> None:
        await until(self._stands)

    async def hears(self) -> bool:
        return not await self._stands()

    async def let_go(self) -> None:
        await self.standstill.release(self.saga_id, self.event)

    async def _stands(self) -> bool:
        await asyncio.sleep(LOOK_AGAIN_S)
        return await self.standstill.is_reached(self.saga_id, self.event)


@dataclass(frozen=True)
class Waits:
    """Where nothing has to be held: it waits by itself."""

    is_there: Callable[[], Awaitable[bool]]

    async def reached(self) -> None:
        await until(self.is_there, LOOK_AGAIN_S)

    async def hears(self) -> bool:
        return True

    async def let_go(self) -> None:
        pass


@dataclass(frozen=True)
class Both:
    """Two activities of a saga at once."""

    one: Stand
    other: Stand

    async def reached(self) -> None:
        await self.one.reached()
        await self.other.reached()

    async def hears(self) -> bool:
        return await self.one.hears() and await self.other.hears()

    async def let_go(self) -> None:
        await self.one.let_go()
        await self.other.let_go()


@dataclass(frozen=True)
class Act:
    """An activity of a saga: its place at the gates, and an event that its commit writes."""

    place: str
    event: str = ""


@dataclass(frozen=True)
class Stops:
    """Makes a saga stand at an activity of it, in the manner of a column."""

    gates: Gates
    standstill: Standstill

    async def at(self, saga_id: str, act: Act, column: str) -> Stand:
        if column == RUNNING:
            await self.standstill.hold(saga_id, act.event)
            return InCommit(self.standstill, saga_id, act.event)
        manner: Manner = "answers" if column == ANSWERS else "cancelled"
        when: When = "before" if column in (BEFORE, UNDOING) else "after"
        return self.gates.hold(saga_id, act.place, when, manner)


class TaskLost(Exception):
    """A worker that was too busy lost a workflow task, and with it what stood there."""


class Canceller:
    """Cancels one saga, once or twice, and keeps what it was answered."""

    def __init__(self, handle: Handle, way: Sequence[str]) -> None:
        self._handle, self._way = handle, way
        self._updates: dict[str, asyncio.Task[Json]] = {}

    async def cancel(self) -> None:
        for by in self._way:
            if by == "temporal":
                await self._handle.cancel()
            else:
                name = new_id("cancel")
                self._updates[name] = asyncio.create_task(self._update(name))

    async def _update(self, name: str) -> Json:
        """Sent again while the worker is too busy, as a client does."""
        while True:
            try:
                return await self._handle.execute_update("cancel", BY, id=name)  # type: ignore[no-any-return]
            except RPCError as error:
                if error.status != RPCStatusCode.FAILED_PRECONDITION:
                    raise
                await asyncio.sleep(LOOK_AGAIN_S)

    async def until_it_is_in(self) -> None:
        """Wait until the saga has each cancel: it stands in its history, or was refused."""
        if "temporal" in self._way:
            await until_told(self._handle, "WORKFLOW_EXECUTION_CANCEL_REQUESTED")
        if self._updates:
            await asyncio.wait(self._updates.values())

    async def until_it_is_sent(self, client: Client) -> None:
        """Wait until the server has each update, though nobody works."""
        for name in self._updates:
            await until_admitted(client, self._handle, name)

    async def answers(self) -> set[str]:
        """What our updates were told."""
        return {await answer_of(update) for update in self._updates.values()}


async def until_admitted(client: Client, handle: Handle, update_id: str) -> None:
    """Wait until the server has an update at which nobody has looked."""
    request = PollWorkflowExecutionUpdateRequest(
        namespace=client.namespace,
        update_ref=UpdateRef(
            workflow_execution=WorkflowExecution(workflow_id=handle.id), update_id=update_id
        ),
    )

    async def admitted() -> bool:
        try:
            await client.workflow_service.poll_workflow_execution_update(request)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True

    await until(admitted)


async def answer_of(update: asyncio.Task[Json]) -> str:
    """`accepted`, the type of its refusal, or `ended`: the saga was quicker."""
    try:
        await update
    except WorkflowUpdateFailedError as error:
        return type_of(error.cause)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return "ended"
    return "accepted"


def type_of(cause: BaseException | None) -> str:
    """The type of a failure of ours."""
    assert isinstance(cause, ApplicationError), cause
    return str(cause.type)


async def until_told(handle: Handle, event_type: str, times: int = 1) -> None:
    """Wait until a history has an event so often; not asked as often as it could be."""
    await until_history(handle, event_type, times, LOOK_AGAIN_S)


async def cancel_what_hears(handle: Handle, stand: Stand, way: Sequence[str]) -> Canceller:
    """Cancel a saga at a position at which it hears of it, and let it go on."""
    await stand.reached()
    canceller = Canceller(handle, way)
    await canceller.cancel()
    await until(stand.hears)
    await stand.let_go()
    return canceller


async def cancel_what_is_deaf(handle: Handle, stand: Stand, way: Sequence[str]) -> Canceller:
    """Cancel a saga where nothing hears of it: it still stands there when the cancel is in."""
    await stand.reached()
    canceller = Canceller(handle, way)
    await canceller.cancel()
    await canceller.until_it_is_in()
    moved_on = await stand.hears()
    await stand.let_go()
    if moved_on:
        await canceller.answers()
        await end_of(handle)
        assert "WORKFLOW_TASK_TIMED_OUT" in await types_of(handle), "something heard of the cancel"
        raise TaskLost
    return canceller


async def end_of(handle: Handle) -> str:
    """The state in which a saga ended."""
    try:
        return str((await handle.result())["state"])
    except WorkflowFailureError as error:
        return f"failed ({type_of(error.cause)})"


async def ends_at(
    cells: Iterable[Cell],
    cancel_at: Callable[[str, str, tuple[str, ...]], Awaitable[str]],
    ways: Iterable[tuple[str, ...]] = WAYS,
) -> Ends:
    """The ends at these positions, cancelled in these ways."""
    turn = asyncio.Semaphore(AT_ONCE)
    ends: Ends = {cell: set() for cell in cells}

    async def play(cell: Cell, way: tuple[str, ...]) -> None:
        async with turn:
            try:
                ends[cell].add(await until_played(cell, way))
            except Exception as error:
                error.add_note(f"{cell}, cancelled by {' and '.join(way)}")
                raise

    async def until_played(cell: Cell, way: tuple[str, ...]) -> str:
        while True:
            with suppress(TaskLost):
                return await cancel_at(*cell, way)

    async with asyncio.TaskGroup() as group:
        for cell in ends:
            for way in ways:
                group.create_task(play(cell, way))
    return ends


def compare(title: str, found: Ends) -> None:
    """Compare what was found with the table of this title, or write it there if that was asked."""
    if os.environ.get(WRITE):
        DOCUMENT.write_text(written(DOCUMENT.read_text(), title, found))
    known = documented(title)
    assert found == {cell: known.get(cell) for cell in found}


def documented(title: str) -> Ends:
    """The table of this title in the document, without its empty cells."""
    _, _, rest = DOCUMENT.read_text().partition(f"| {title} |")
    ends: Ends = {}
    for line in rest.split("\n\n")[0].splitlines()[2:]:
        row, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        texts = zip(COLUMNS, cells, strict=True)
        ends |= {(row, column): set(text.split(", ")) for column, text in texts if text != NONE}
    return ends


def written(text: str, title: str, found: Mapping[Cell, set[str]]) -> str:
    """The document with these cells in the table of this title."""
    ends: Ends = {**documented(title), **found}
    rows = list(dict.fromkeys(row for row, _ in ends))
    before, head, rest = text.partition(f"| {title} |")
    _, gap, after = rest.partition("\n\n")
    return before + table(title, ends, rows) + gap + after if head else text


def table(title: str, ends: Mapping[Cell, set[str]], rows: Iterable[str]) -> str:
    lines = [f"| {title} | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row in rows:
        cells = [", ".join(sorted(ends.get((row, column), {NONE}))) for column in COLUMNS]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ[WRITE] = "1"
    tests = ["test_cancellation.py", "test_cancelled_changes.py"]
    sys.exit(pytest.main(["-q", *(f"tests/sagas/{test}" for test in tests)]))
