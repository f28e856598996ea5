"""The runs of a schedule, as sagas: how each ended, and the moments that had no run."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleDescription,
)

from starter.client.environment import LedgerAddress
from starter.client.errors import BadRequest, InvalidInput, NotKnown, SagaFailed, Unreachable
from starter.client.failures import translated
from workflows.contract.kinds import kind_named
from workflows.contract.runs import RUNNING, RunStatus, status_of

if TYPE_CHECKING:
    from ledger.read.cursors import Row

# The server remembers so many runs of a schedule, and lists so many moments at a time.
_REMEMBERED, _LISTED = 10, 1_000
# A moment later than this may still be on its way into a run.
SETTLED = timedelta(seconds=10)
# Ten years of nights, or two weeks of minutes.
_MOST_PAGES = 20


@dataclass(frozen=True)
class Outcome:
    """How a saga stands. `state` is the state of its result (`captured`, `denied`, ...), of a saga
    that has not ended its own state and what it waits for; of a run that Temporal lost or failed,
    that. `is_good`: it ended as asked for; None while it is open."""

    state: str
    reason: str | None = None
    is_good: bool | None = None

    def __str__(self) -> str:
        is_more = self.reason and self.reason != self.state
        return f"{self.state} ({self.reason})" if is_more else self.state


@dataclass(frozen=True)
class ScheduledRun:
    """A run of a schedule: the moment that it was `due` at (of a triggered one when that was asked
    for), when it started, and how its saga stands. `on_record`: the ledger has its saga, or
    can't be read; a run that was refused leaves none."""

    saga_id: str
    due: datetime
    started_at: datetime
    outcome: Outcome
    on_record: bool = True


def saga_ids_of(described: ScheduleDescription) -> list[str]:
    """The sagas of the newest runs of a schedule."""
    return [saga_id for saga_id, _, _ in _actions(described)]


def _actions(described: ScheduleDescription) -> list[tuple[str, datetime, datetime]]:
    return [
        (action.action.workflow_id, action.scheduled_at, action.started_at)
        for action in described.info.recent_actions
        if isinstance(action.action, ScheduleActionExecutionStartWorkflow)
    ]


async def runs_of(
    client: Client, recorded: "dict[str, Row] | None", described: ScheduleDescription
) -> list[ScheduledRun]:
    """The newest runs of a schedule, at most ten, the newest last; also triggered ones. `recorded`:
    see `recorded_sagas`."""
    found = []
    for saga_id, due, started in _actions(described):
        saga = (recorded or {}).get(saga_id)
        outcome = await _outcome(client, saga_id, saga)
        is_known = recorded is None or saga is not None
        found.append(ScheduledRun(saga_id, due, started, outcome, is_known))
    return found


async def missed_by(client: Client, described: ScheduleDescription) -> list[datetime]:
    """The moments of a schedule that have passed without a run, the newest last: while the schedule
    was paused or the server down for longer than the catch-up window, or skipped because the run
    before was still open.

    What came before the ten newest runs, or before the last change of the schedule, is not known.
    """
    info, state = described.info, described.schedule.state
    runs = sorted(action.scheduled_at for action in info.recent_actions)
    since = max(info.created_at, info.last_updated_at or info.created_at)
    if len(runs) >= _REMEMBERED:
        since = max(since, runs[0])
    until = datetime.now(UTC) - SETTLED
    if state.limited_actions and not state.remaining_actions:
        # Nothing is due after the last run.
        until = runs[-1] if runs else since
    jitter = described.schedule.spec.jitter or timedelta(0)
    due = [it async for it in moments(client, described.id, since, until)]
    missed = [it for it in due if not any(it <= run <= it + jitter for run in runs)]
    buffered = described.raw_description.info.buffer_size
    return missed[: len(missed) - buffered] if buffered else missed


async def moments(
    client: Client, name: str, start: datetime, until: datetime
) -> AsyncIterator[datetime]:
    """The moments after `start`, up to `until`, at which a schedule is due, as its server says."""
    for _ in range(_MOST_PAGES):
        if start >= until:
            return
        request = ListScheduleMatchingTimesRequest(
            namespace=client.namespace,
            schedule_id=name,
            start_time=_timestamp(start),
            end_time=_timestamp(until),
        )
        page = await client.workflow_service.list_schedule_matching_times(request, retry=True)
        times = [it.ToDatetime(UTC) for it in page.start_time]
        for it in times:
            yield it
        if len(times) < _LISTED:
            return
        start = times[-1]


async def recorded_sagas(
    ledger: LedgerAddress | None, saga_ids: list[str]
) -> "dict[str, Row] | None":
    """Those of the sagas that are in the ledger; None where that can't be read."""
    if ledger is None:
        return None
    if not saga_ids:
        return {}
    from ledger.read.sagas import sagas_named
    from starter.client.reading import reading

    try:
        async with reading(ledger) as database:
            return await sagas_named(database, saga_ids)
    except Unreachable:
        return None


async def _outcome(client: Client, saga_id: str, recorded: "Row | None") -> Outcome:
    if recorded is not None and recorded["result"] is not None:
        return _ended(saga_id, recorded["result"], failed=recorded["state"] == "failed")
    try:
        async with translated(saga_id):
            run = await status_of(client, saga_id)
            if not run.is_closed:
                return _open(run, recorded)
            # One that is open in the ledger: its newest run may be a start that was refused.
            if run.name in ("terminated", "timed_out") or recorded is not None:
                closed = (recorded or {}).get("run_closed")
                return Outcome("lost", (closed or run.words).replace("_", " "), is_good=False)
            result = await client.get_workflow_handle(saga_id).result()
    except NotKnown:
        return Outcome("not known to Temporal", is_good=False)
    except SagaFailed as failure:
        return Outcome("failed", failure.failure_type, is_good=False)
    except InvalidInput as refusal:
        return Outcome("failed", f"InvalidInput: {refusal}", is_good=False)
    except BadRequest as refusal:
        return Outcome("failed", type(refusal).__name__, is_good=False)
    return _ended(saga_id, result, failed=False)


def _open(run: RunStatus, recorded: "Row | None") -> Outcome:
    if run.name != RUNNING:
        return Outcome(f"{run.name} in Temporal")
    state = run.saga_state or (recorded["state"] if recorded else RUNNING)
    return Outcome(f"{state}, waits for {run.saga_step}" if run.saga_step else state)


def _ended(saga_id: str, result: dict[str, object], *, failed: bool) -> Outcome:
    kind = kind_named(saga_id)
    state = "failed" if failed else str(result.get("state"))
    reason = result.get("reason")
    is_good = kind is not None and not failed and state in kind.good_ends
    return Outcome(state, str(reason) if reason else None, is_good)


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
