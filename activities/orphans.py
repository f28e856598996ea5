"""Finds orphaned sagas, open in the ledger and closed in Temporal, and records them as orphaned.

Temporal is asked about each saga by `describe`, never by its visibility index, which lags. What a
Temporal does not know is lost only if it is the one that carried the saga, by the id of its
namespace: an empty or a wrong one knows nothing, and that says nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

from pydantic import Field, JsonValue
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.run_watch import record_status
from activities.runs import RunStatus, namespace_id, status_of_carrier
from activities.step import Request, heartbeat, running_in
from ledger.aggregates.saga import SagaState, saga_name
from ledger.database import Database
from ledger.errors import NotAdmitted
from ledger.read.current_state import state_of
from ledger.sagas.open_sagas import OpenSaga, find_open, open_sagas, still_open
from ledger.sagas.orphans import declare_lost
from ledger.sagas.saga_log import steps_of
from ledger.store.commit import Author

# So many may be lost at once without a person: below it a share says nothing.
LOST_WITHOUT_A_PERSON = 10
# More wait for the next sweep: the history of one stays small.
MOST_AT_ONCE = 200
# How many questions Temporal gets at a time.
ASKED_AT_ONCE = 20
# So many open runs that do not run, and so many sagas that are left alone, are shown: the page of
# one sweep stays small.
MOST_SHOWN = 20
GONE = "gone"
# Amends itself: a name that no request may use.
SYSTEM = "system:amends"
# Temporal takes ids of 1,000 bytes, and that of a recovery has a saga's in it.
MOST_ID_BYTES = 1_000 - len("recovery//2147483647")


@dataclass(frozen=True)
class Care:
    """Limits of the sweep: how long a saga is left alone after its run closed; and how many of a
    hundred open sagas may look orphaned at once before an operator is asked."""

    grace: timedelta = timedelta(minutes=5)
    brake_percent: int = 20


class Look(Request):
    """Scope of one search. `gone`: ids of namespaces that an operator reports as gone for good;
    `all`: the operator has seen how many sagas look orphaned, and confirms. `problems` are the
    rules that the request for the search breaks."""

    gone: list[str] = Field(default_factory=list)
    all: bool = False
    problems: list[tuple[str, str]] = Field(default_factory=list)


class LostSaga(Request):
    """A saga that looks orphaned in this epoch; `found` is the state of its run."""

    saga_id: str
    kind: str
    epoch: int
    found: str


class Seen(Request):
    """The result of a search: of `open` sagas, `lost_in_all` look orphaned, the first of which are
    `lost`. `held`: too many to be credible. `elsewhere` counts the sagas of the first other
    namespaces, by name and id, which can't be judged here, and `elsewhere_more` those of the rest.
    `stopped`: the status of the first open runs that do not run, such as paused ones, by saga.
    `left_alone` more look orphaned within the grace time, which ends at `left_until`, by saga, of
    the first of them. `unreadable`: a sentence for each of the first sagas that can't be read or
    judged, or whose run can't be recorded."""

    open: int
    lost_in_all: int
    lost: list[LostSaga]
    held: bool
    elsewhere: dict[str, int]
    # Left out when empty, as what follows: a worker of an earlier version does not know the field.
    elsewhere_more: int = Field(default=0, exclude_if=lambda more: not more)
    stopped: dict[str, str] = Field(default_factory=dict, exclude_if=lambda stopped: not stopped)
    left_alone: int = Field(default=0, exclude_if=lambda left: not left)
    left_until: dict[str, datetime] = Field(default_factory=dict, exclude_if=lambda left: not left)
    unreadable: list[str] = Field(default_factory=list, exclude_if=lambda named: not named)


class Loss(Request):
    """The saga to record as orphaned, in this epoch; see `Look` for `gone` and `problems`, and
    `ledger.sagas.orphans.declare_lost` for `pivot`."""

    saga_id: str
    epoch: int
    actor: str
    reason: str | None = None
    gone: list[str] = Field(default_factory=list)
    pivot: str | None = None
    problems: list[tuple[str, str]] = Field(default_factory=list)


class Declared(Request):
    """The result of recording a saga as orphaned. `lost`: recorded, and `input` on `task_queue`
    carries the saga on; otherwise why not: `ended`, `carried` (by another epoch), `open` (its run
    is), `elsewhere`, or `unknown_undo` (no worker of this version undoes one of its steps)."""

    how: Literal["lost", "ended", "carried", "open", "elsewhere", "unknown_undo"]
    input: dict[str, JsonValue] = Field(default_factory=dict)
    task_queue: str = ""


class Standing(Request):
    """The state of a saga in the ledger."""

    state: str
    epoch: int
    result: dict[str, JsonValue] | None


class OrphanedSagas:
    """Activities of the sweep: search open sagas, record orphaned ones. `undos` are the activities
    that undo steps, by name."""

    def __init__(
        self, database: Database, client: Client, care: Care, undos: Iterable[str]
    ) -> None:
        self._database, self._client, self._care = database, client, care
        self._undos = frozenset(undos)

    @activity.defn
    async def look_for_lost_sagas(self, look: Look) -> Seen:
        """Asks Temporal about every open saga, and records which runs are closed, unless they are
        too many to be credible. Raises NotAdmitted."""
        if look.problems:
            raise NotAdmitted(look.problems)
        here = await namespace_id(self._client)
        opened, lost, stopped = 0, list[LostSaga](), dict[str, str]()
        left = dict[str, datetime]()
        elsewhere = Counter[str]()
        unreadable, found = list[str](), list[tuple[OpenSaga, RunStatus]]()
        async with heartbeat():
            async for page in open_sagas(self._database, tell=unreadable.append):
                opened += len(page)
                far = [saga for saga in page if self._is_elsewhere(saga, here, look.gone)]
                elsewhere.update(f"{saga.namespace} {saga.namespace_id}" for saga in far)
                statuses = await self._statuses(page, here, look.gone, unreadable.append)
                closed = await self._closed_among(page, statuses)
                found += [(saga, statuses[saga.workflow_id]) for saga in closed]
                early = self._left_among(closed, statuses)
                left |= early
                lost += [
                    LostSaga(
                        saga_id=saga.workflow_id,
                        kind=saga.kind,
                        epoch=saga.epoch,
                        found=statuses[saga.workflow_id].name,
                    )
                    for saga in closed
                    if saga.workflow_id not in early
                ]
                stopped |= {name: it.name for name, it in statuses.items() if it.is_stopped}
        at_most = max(LOST_WITHOUT_A_PERSON, opened * self._care.brake_percent // 100)
        held = len(lost) > at_most and not look.all
        refused = set[str]()
        for saga, status in () if held else found[:MOST_AT_ONCE]:
            # What a person says of another Temporal is on record when it is acted on.
            if status.name != GONE and not await record_status(
                self._database, saga, status, unreadable.append
            ):
                refused.add(saga.workflow_id)
        lost = [each for each in lost if each.saga_id not in refused]
        shown = elsewhere.most_common(MOST_SHOWN)
        return Seen(
            open=opened,
            lost_in_all=len(lost),
            lost=lost[:MOST_AT_ONCE],
            held=held,
            elsewhere=dict(shown),
            elsewhere_more=elsewhere.total() - sum(count for _, count in shown),
            stopped=dict(islice(stopped.items(), MOST_SHOWN)),
            left_alone=len(left),
            left_until=dict(islice(left.items(), MOST_SHOWN)),
            unreadable=unreadable[:MOST_SHOWN],
        )

    async def _statuses(
        self,
        sagas: Sequence[OpenSaga],
        here: str,
        gone: Sequence[str],
        tell: Callable[[str], None],
    ) -> dict[str, RunStatus]:
        """The statuses of the runs that can be judged here, by saga. `tell` is told of each saga
        whose id Temporal does not take."""
        free = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(saga: OpenSaga) -> RunStatus | None:
            if (size := len(saga.workflow_id.encode())) > MOST_ID_BYTES:
                tell(f"{saga.aggregate[:200]}: {size} bytes of id are more than Temporal takes")
                return None
            try:
                async with free:
                    return await self._status(saga, here, gone)
            except RPCError as error:
                if error.status != RPCStatusCode.INVALID_ARGUMENT:
                    raise
                tell(f"{saga.aggregate[:200]}: Temporal can't be asked about it")
                return None

        asked = await asyncio.gather(*(ask(saga) for saga in sagas))
        known = zip(sagas, asked, strict=True)
        return {saga.workflow_id: status for saga, status in known if status is not None}

    async def _closed_among(
        self, sagas: Sequence[OpenSaga], statuses: Mapping[str, RunStatus]
    ) -> list[OpenSaga]:
        """The open sagas whose run is closed."""
        found = {name for name, status in statuses.items() if status.is_closed}
        # A saga that has just ended was open when it was read, and its run closed when it was asked
        # about.
        return await still_open(self._database, [it for it in sagas if it.workflow_id in found])

    def _left_among(
        self, closed: Sequence[OpenSaga], statuses: Mapping[str, RunStatus]
    ) -> dict[str, datetime]:
        """The end of the grace time of the sagas that are within it."""
        ends = {
            saga.workflow_id: self._left_until(saga, statuses[saga.workflow_id]) for saga in closed
        }
        return {name: until for name, until in ends.items() if until is not None}

    def _left_until(self, saga: OpenSaga, status: RunStatus) -> datetime | None:
        """The end of the saga's grace time, which begins with the end of its run; None when it is
        over. Of a run that Temporal has deleted, it begins when that was seen. Requests that come
        again don't put it off."""
        began = status.closed_at or saga.run_stopped_at or saga.head_at
        until = began + self._care.grace
        return until if saga.now < until else None

    def _is_elsewhere(self, saga: OpenSaga, here: str, gone: Sequence[str]) -> bool:
        ours = (saga.namespace, saga.namespace_id) == (self._client.namespace, here)
        return not ours and saga.namespace_id not in gone

    async def _status(self, saga: OpenSaga, here: str, gone: Sequence[str]) -> RunStatus | None:
        """The status of the saga's run; None where another namespace knows it."""
        if self._is_elsewhere(saga, here, gone):
            return None
        if (saga.namespace, saga.namespace_id) != (self._client.namespace, here):
            return RunStatus(GONE, is_closed=True)
        return await status_of_carrier(self._client, saga.workflow_id, saga.run_id)

    @activity.defn
    async def declare_lost_saga(self, loss: Loss) -> Declared:
        """Checks once more, and records the saga as orphaned; its steps are undone from here, or
        past its pivot, the saga goes forward. Raises NotAdmitted."""
        saga = await find_open(self._database, loss.saga_id)
        # The name of a saga that is there is good, whatever names are by now.
        if loss.problems and (saga is None or any(at != "saga_id" for at, _ in loss.problems)):
            raise NotAdmitted(loss.problems)
        if saga is None:
            if await state_of(self._database, saga_name(loss.saga_id)) is None:
                raise NotAdmitted([("saga_id", "no such saga in the ledger")])
            return Declared(how="ended")
        here = await namespace_id(self._client)
        if self._is_elsewhere(saga, here, loss.gone):
            return Declared(how="elsewhere")
        status = await self._status(saga, here, loss.gone)
        stands = await self._stands(loss.saga_id)
        # Asked again, after its answer was lost, the epoch has been raised by what it wrote.
        if stands.lost is None:
            if stands.closed or stands.epoch != loss.epoch:
                return Declared(how="carried")
            if status is None or not status.is_closed or self._left_until(saga, status):
                return Declared(how="open")
            if await self._has_unknown_undo(loss.saga_id):
                return Declared(how="unknown_undo")
            author = self._author(loss)
            stands = await declare_lost(
                self._database,
                author,
                loss.saga_id,
                loss.epoch,
                status.name,
                loss.reason,
                loss.pivot,
            )
        if stands.lost is None:
            return Declared(how="carried")
        return Declared(how="lost", input=stands.input, task_queue=stands.task_queue)

    def _author(self, loss: Loss) -> Author:
        """Who says so; production takes no name that nobody signed, and keeps it beside."""
        metadata = running_in({})
        if self._database.signing.required and loss.actor != SYSTEM:
            metadata["unsigned_actor"] = loss.actor
            return Author(SYSTEM, loss.saga_id, None, metadata)
        return Author(loss.actor, loss.saga_id, None, metadata)

    async def _has_unknown_undo(self, saga_id: str) -> bool:
        steps = await steps_of(self._database, saga_id)
        return any(step.undo and step.undo.activity not in self._undos for step in steps)

    @activity.defn
    async def read_saga(self, saga_id: str) -> Standing:
        """Reads the state of the saga in the ledger."""
        saga = await self._stands(saga_id)
        return Standing(state=saga.state, epoch=saga.epoch, result=saga.result)

    async def _stands(self, saga_id: str) -> SagaState:
        saga = await state_of(self._database, saga_name(saga_id))
        assert isinstance(saga, SagaState)
        return saga
