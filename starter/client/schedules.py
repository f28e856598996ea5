"""Schedules rollbacks: Temporal Schedules, which a person sees and pauses in the Web UI."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleHandle,
    ScheduleListActionStartWorkflow,
    ScheduleListDescription,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)

from starter.client.errors import InvalidInput, NotAllowed, NotKnown
from starter.client.failures import SagaEnded, translated
from starter.client.wording import summary
from workflows.contract.change import RollbackRequest
from workflows.contract.kinds import KINDS, ROLLBACK, Queue

# The server appends `-2026-12-01T09:00:00Z` to the id of a run, and an operation id that is made
# of it has at most 64 characters.
MAX_NAME = 43
_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_NAME}}}")
_WHAT = "what"


@dataclass(frozen=True)
class Scheduled:
    """A schedule as shown to a person. `next_run` is None when nothing is to come, `last_run` until
    it has run. `saga_id` is its newest run, or until it has run, its next."""

    name: str
    note: str
    paused: bool
    next_run: datetime | None
    last_run: datetime | None = None
    saga_id: str | None = None


def check_name(name: str, field: str = "name") -> str:
    """Check the name of a schedule. Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(field, f"1 to {MAX_NAME} of A-Z a-z 0-9 . _ - are needed")
    return name


class Schedules:
    """The schedules of one namespace whose runs are sagas of Amends."""

    def __init__(self, client: Client, queue_name: Callable[[Queue], str]) -> None:
        self._client = client
        self._queue_name = queue_name

    async def rollback(self, name: str, request: RollbackRequest, at: datetime) -> Scheduled:
        """Schedule a rollback for `at` (rounded up to a second), whether or not a client is there
        then.

        The run is `rollback/{name}-{time}`. Raises InvalidInput (a name that is none, a time that
        is over, a request with an operation id: the run makes its own), NotAllowed for a name that
        is taken.
        """
        check_name(name)
        if request.operation_id is not None:
            raise InvalidInput("operation_id", "must be left out: a scheduled run makes its own")
        moment = _whole_second(at)
        note = _note(request)
        schedule = Schedule(
            action=ScheduleActionStartWorkflow(
                ROLLBACK.workflow,
                request,
                id=ROLLBACK.saga_id(name),
                task_queue=self._queue_name(ROLLBACK.queue),
                static_summary=summary(request),
            ),
            spec=ScheduleSpec(calendars=[_once(moment)], time_zone_name="UTC"),
            state=ScheduleState(note=note, limited_actions=True, remaining_actions=1),
        )
        async with translated(name):
            try:
                handle = await self._client.create_schedule(name, schedule, memo={_WHAT: note})
            except ScheduleAlreadyRunningError:
                raise NotAllowed(
                    f"a schedule named {name} exists already: choose another name"
                ) from None
            await self._refuse_if_over(handle)
        return Scheduled(name, note, paused=False, next_run=moment, saga_id=_run_id(name, moment))

    async def _refuse_if_over(self, handle: ScheduleHandle) -> None:
        info = (await handle.describe()).info
        # The server's clock decides; a schedule that never runs would only look like one.
        if not info.next_action_times and not info.num_actions and not info.running_actions:
            await handle.delete()
            raise InvalidInput("at", "is over before the server could schedule it")

    async def list(self) -> list[Scheduled]:
        """List the schedules that start sagas, by name. A change shows here after about a
        second."""
        workflows = {kind.workflow for kind in KINDS}
        async with translated("the list of schedules"):
            found = [
                _scheduled(entry)
                async for entry in await self._client.list_schedules()
                if _starts(entry) in workflows
            ]
        return sorted(found, key=lambda scheduled: scheduled.name)

    async def pause(self, name: str, *, actor: str, reason: str | None = None) -> None:
        """Pause the schedule: nothing starts until `resume`. Raises NotKnown."""
        why = f": {reason}" if reason else ""
        async with _known(name):
            handle = self._client.get_schedule_handle(name)
            await handle.pause(note=f"{await self._what(handle)}. Paused by {actor}{why}")

    async def resume(self, name: str) -> None:
        """Resume the schedule. What was due while it was paused does not run. Raises NotKnown."""
        async with _known(name):
            handle = self._client.get_schedule_handle(name)
            await handle.unpause(note=await self._what(handle))

    async def delete(self, name: str) -> None:
        """Delete the schedule; a saga that it has started goes on. Raises NotKnown."""
        async with _known(name):
            await self._client.get_schedule_handle(name).delete()

    async def _what(self, handle: ScheduleHandle) -> str:
        # Pausing replaces the note; what the schedule does stays in the memo.
        described = await handle.describe()
        return str(await described.memo_value(_WHAT, described.schedule.state.note or handle.id))


@asynccontextmanager
async def _known(name: str) -> AsyncIterator[None]:
    try:
        async with translated(f"schedule {name}"):
            yield
    except (NotKnown, SagaEnded):
        # A deleted schedule answers for a while as one that has ended.
        raise NotKnown(f"no schedule named {name}: amends schedule list lists them") from None


def _note(request: RollbackRequest) -> str:
    only = f" ({', '.join(request.resources)})" if request.resources else ""
    why = f": {request.reason}" if request.reason else ""
    return f"{summary(request)}{only}, asked by {request.actor}{why}"


def _whole_second(at: datetime) -> datetime:
    moment = at.astimezone(UTC)
    return moment if not moment.microsecond else moment.replace(microsecond=0) + _SECOND


_SECOND = timedelta(seconds=1)


def _once(moment: datetime) -> ScheduleCalendarSpec:
    return ScheduleCalendarSpec(
        year=[ScheduleRange(moment.year)],
        month=[ScheduleRange(moment.month)],
        day_of_month=[ScheduleRange(moment.day)],
        hour=[ScheduleRange(moment.hour)],
        minute=[ScheduleRange(moment.minute)],
        second=[ScheduleRange(moment.second)],
    )


def _starts(entry: ScheduleListDescription) -> str | None:
    action = entry.schedule.action if entry.schedule else None
    return action.workflow if isinstance(action, ScheduleListActionStartWorkflow) else None


def _scheduled(entry: ScheduleListDescription) -> Scheduled:
    times = entry.info.next_action_times if entry.info else []
    runs = entry.info.recent_actions if entry.info else []
    state = entry.schedule.state if entry.schedule else None
    saga_id = _run_id(entry.id, times[0]) if times else None
    if runs and isinstance(runs[-1].action, ScheduleActionExecutionStartWorkflow):
        saga_id = runs[-1].action.workflow_id
    return Scheduled(
        name=entry.id,
        note=(state.note if state else None) or "",
        paused=bool(state and state.paused),
        next_run=times[0] if times else None,
        last_run=runs[-1].started_at if runs else None,
        saga_id=saga_id,
    )


def _run_id(name: str, moment: datetime) -> str:
    """The id that the server gives to the run at this moment."""
    return f"{ROLLBACK.saga_id(name)}-{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
