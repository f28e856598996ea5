"""Schedules sagas: Temporal Schedules, which a person sees and pauses in the Web UI."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleListActionStartWorkflow,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError, RPCStatusCode

from ledger.aggregates.time_zones import ZONES
from starter.client.environment import LedgerAddress
from starter.client.errors import InvalidInput, NotAllowed, NotKnown
from starter.client.failures import SagaEnded, translated
from starter.client.kinds import Request, kind_of
from starter.client.schedule_notes import PAUSED_BY, WHAT, note_of, plain_note, public_summary, what
from starter.client.schedule_runs import missed_by, moments, recorded_sagas, runs_of, saga_ids_of
from starter.client.scheduled import Scheduled
from starter.client.validation import checked
from starter.client.wall_clock import AROUND, clock_changes, night, unites_days
from starter.client.wording import summary
from workflows.contract.kinds import KINDS, Queue
from workflows.contract.updates import By

if TYPE_CHECKING:
    from ledger.read.cursors import Row

T = TypeVar("T")

# The server appends `-2026-12-01T09:00:00Z` to the id of a run, and an operation id that is made
# of it has at most 64 characters.
MAX_NAME = 43
_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_NAME}}}")
# A cron line is looked at for as long: both changes of the clocks lie in it.
_A_YEAR = timedelta(days=366)
# How far, and for how many moments, the next runs of a paused schedule are looked for.
_TEN_YEARS, _LISTED = 10 * _A_YEAR, 10
# How many schedules are asked about at a time.
_AT_ONCE = 10
_UNITED_DAYS = (
    "day of month and day of week are both given: a Schedule runs only on days that match both "
    "(cron elsewhere: on days that match either)"
)
# The server reads a comment there, and would run on each of these days.
_COUNTED_DAYS = (
    "# begins a comment in a Schedule: instead of MON#1 write days 1-7 and MON, as in "
    "0 9 1-7 * MON (second Monday: 8-14)"
)


def check_name(name: str, field: str = "name") -> str:
    """Check the name of a schedule. Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(field, f"1 to {MAX_NAME} of A-Z a-z 0-9 . _ - are needed")
    return name


class Schedules:
    """The schedules of one namespace whose runs are sagas of Amends."""

    def __init__(
        self,
        client: Client,
        queue_name: Callable[[Queue], str],
        ledger: Callable[[], LedgerAddress | None],
    ) -> None:
        self._client = client
        self._queue_name = queue_name
        self._ledger = ledger

    async def once(self, name: str, request: Request, at: datetime) -> Scheduled:
        """Schedule a saga of any kind for `at` (rounded up to a second), whether or not a client is
        there then.

        The run is `{kind}/{name}-{time}`, such as `payment/rent-2026-12-01T09:00:00Z`. Raises
        InvalidInput (a name that is none, a time that is over, a request with an operation id: the
        run makes its own), NotAllowed for a name that is taken.
        """
        moment = _whole_second(at)
        spec = ScheduleSpec(calendars=[_once(moment)], time_zone_name="UTC")
        state = ScheduleState(limited_actions=True, remaining_actions=1)
        handle = await self._create(name, request, spec, state)
        made = await self._described(handle)
        if not made.next_run and not made.runs:
            # The server's clock decides; a schedule that never runs would only look like one.
            await handle.delete()
            raise InvalidInput("at", "is over before the server could schedule it")
        return made

    async def recurring(
        self, name: str, request: Request, cron: str, time_zone: str = "UTC"
    ) -> Scheduled:
        """Schedule a saga of any kind at each moment of a cron line, by the clock of a time zone.

        Each run is a saga of its own, named as in `once`, and starts although the one before is
        still open. `unusual` of the answer names what the line does not do as elsewhere. Raises
        InvalidInput (also for a line that never runs), NotAllowed.
        """
        if time_zone not in ZONES:
            raise InvalidInput("time_zone", "not an IANA time zone, such as Europe/Madrid")
        if "TZ=" in cron:
            raise InvalidInput("cron", "names a time zone: give that as the time zone")
        if "#" in cron:
            raise InvalidInput("cron", _COUNTED_DAYS)
        spec = ScheduleSpec(cron_expressions=[cron], time_zone_name=time_zone)
        handle = await self._create(name, request, spec, ScheduleState())
        made = await self._described(handle)
        if not made.next_run and not made.runs:
            await handle.delete()
            raise InvalidInput("cron", "never runs")
        return replace(made, unusual=await self.unusual(name))

    async def _create(
        self, name: str, request: Request, spec: ScheduleSpec, state: ScheduleState
    ) -> ScheduleHandle:
        check_name(name)
        if request.operation_id is not None:
            raise InvalidInput("operation_id", "must be left out: a scheduled run makes its own")
        kind = kind_of(request)
        given = {name: told for name, told in request.as_given().items() if name != "operation_id"}
        # The note and the names of a memo are in plain text at the server, also under a codec.
        state.note = f"{public_summary(request)}, asked by {request.actor}"
        schedule = Schedule(
            action=ScheduleActionStartWorkflow(
                kind.workflow,
                given,
                id=kind.saga_id(name),
                task_queue=self._queue_name(kind.queue),
                static_summary=summary(request),
            ),
            spec=spec,
            # A moment that is skipped leaves no record; a saga that is refused does.
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL),
            state=state,
        )
        async with translated(name):
            try:
                return await self._client.create_schedule(
                    name, schedule, memo={WHAT: what(request)}
                )
            except ScheduleAlreadyRunningError:
                raise NotAllowed(
                    f"a schedule named {name} exists already: choose another name"
                ) from None
            except RPCError as error:
                if error.status != RPCStatusCode.INVALID_ARGUMENT or not spec.cron_expressions:
                    raise
                raise InvalidInput("cron", error.message.rpartition("spec: ")[2]) from None

    async def unusual(self, name: str) -> list[str]:
        """What the calendar of a schedule does in the next year that a reader of its cron line may
        not expect, a sentence each. Raises NotKnown."""
        async with _known(name):
            described = await self._client.get_schedule_handle(name).describe()
            spec = described.schedule.spec
            found = [_UNITED_DAYS] if unites_days(spec.calendars) else []
            zone, now = ZoneInfo(spec.time_zone_name or "UTC"), datetime.now(UTC)
            for change in clock_changes(zone, now, now + _A_YEAR):
                before = change - AROUND - _SECOND
                around = moments(self._client, name, before, change + AROUND)
                seen = night(spec.calendars, zone, change, [moment async for moment in around])
                found += [str(seen)] if seen else []
        return found

    async def list(self) -> list[Scheduled]:
        """List the schedules that start sagas, by name, each as it is now. A schedule that was just
        made shows here after about a second."""
        workflows = {kind.workflow for kind in KINDS}
        async with translated("the list of schedules"):
            names = [
                entry.id
                async for entry in await self._client.list_schedules()
                if _starts(entry) in workflows
            ]
            handles = map(self._client.get_schedule_handle, sorted(names))
            described = await _of_known({each.id: each.describe for each in handles})
            recorded = await self._recorded(described)
            shown = {each.id: partial(self._shown, each, recorded) for each in described}
            return await _of_known(shown)

    async def pause(self, name: str, *, actor: str, reason: str | None = None) -> None:
        """Pause the schedule: nothing starts until `resume`. The reason is in plain text in
        Temporal. Raises NotKnown, InvalidInput."""
        by = checked(By, {"actor": actor, "reason": reason})
        why = f": {by.reason}" if by.reason else ""
        async with _known(name):
            handle = self._client.get_schedule_handle(name)
            await handle.pause(note=f"{await plain_note(handle)}{PAUSED_BY}{by.actor}{why}")

    async def resume(self, name: str) -> None:
        """Resume the schedule. What was due while it was paused does not run. Raises NotKnown."""
        async with _known(name):
            handle = self._client.get_schedule_handle(name)
            await handle.unpause(note=await plain_note(handle))

    async def delete(self, name: str) -> None:
        """Delete the schedule; a saga that it has started goes on. Raises NotKnown."""
        async with _known(name):
            await self._client.get_schedule_handle(name).delete()

    async def _described(self, handle: ScheduleHandle) -> Scheduled:
        described = await handle.describe()
        return await self._shown(described, await self._recorded([described]))

    async def _recorded(self, described: Sequence[ScheduleDescription]) -> "dict[str, Row] | None":
        """The sagas of all their runs, in one reading of the ledger."""
        saga_ids = [saga_id for each in described for saga_id in saga_ids_of(each)]
        return await recorded_sagas(self._ledger(), saga_ids)

    async def _shown(
        self, described: ScheduleDescription, recorded: "dict[str, Row] | None"
    ) -> Scheduled:
        runs = await runs_of(self._client, recorded, described)
        next_runs = await _next_runs(self._client, described)
        newest = runs[-1] if runs else None
        action, state = described.schedule.action, described.schedule.state
        base = action.id if isinstance(action, ScheduleActionStartWorkflow) else described.id
        saga_id = _run_id(base, next_runs[0]) if next_runs else None
        return Scheduled(
            name=described.id,
            note=await note_of(described),
            paused=state.paused,
            next_run=next_runs[0] if next_runs else None,
            last_run=newest.started_at if newest else None,
            saga_id=newest.saga_id if newest else saga_id,
            next_runs=next_runs,
            runs=runs,
            missed=await missed_by(self._client, described),
        )


async def _of_known(asked: Mapping[str, Callable[[], Awaitable[T]]]) -> list[T]:
    """The answers about the schedules of these names, some at a time; without those that are
    deleted and still in the list, which lags."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def answer(name: str, ask: Callable[[], Awaitable[T]]) -> T | None:
        async with free:
            try:
                async with _known(name):
                    return await ask()
            except NotKnown:
                return None

    answers = await asyncio.gather(*(answer(name, ask) for name, ask in asked.items()))
    return [each for each in answers if each is not None]


async def _next_runs(client: Client, described: ScheduleDescription) -> list[datetime]:
    state = described.schedule.state
    if state.limited_actions and not state.remaining_actions:
        return []
    if not state.paused:
        return list(described.info.next_action_times)
    # Of a paused schedule the server keeps what came next when it was paused.
    now, found = datetime.now(UTC), list[datetime]()
    async for moment in moments(client, described.id, now, now + _TEN_YEARS):
        found.append(moment)
        if len(found) == _LISTED:
            break
    return found


@asynccontextmanager
async def _known(name: str) -> AsyncIterator[None]:
    try:
        async with translated(f"schedule {name}"):
            yield
    except (NotKnown, SagaEnded):
        # A deleted schedule answers for a while as one that has ended.
        raise NotKnown(f"no schedule named {name}: amends schedule list lists them") from None


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


def _run_id(base: str, moment: datetime) -> str:
    """The id that the server gives to the run at this moment."""
    return f"{base}-{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
