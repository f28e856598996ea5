"""The schedule of the sweep: every worker keeps it in place, and all of them want the same."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from worker.settings import Settings
from workflows.contract.sweep import SWEEP
from workflows.sweep import SweepWorkflow

SCHEDULE = "amends-sweep"
# A sweep that was missed is made up for by the next one.
CATCH_UP = timedelta(seconds=10)
# One that nobody carries, on a queue that was renamed, must not keep out the next for ever. A sweep
# holds nothing: what it began goes on.
MAKE_ROOM = timedelta(hours=1)
_NOTE = "Finds sagas that are open in the ledger and closed in Temporal"


async def keep_schedule(client: Client, settings: Settings) -> None:
    """Create the schedule, or give it the interval and the task queue of the settings. Whether it
    is paused is left to operators. Raises RPCError."""
    schedule = _schedule(settings)
    try:
        await client.create_schedule(SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(SCHEDULE).update(lambda found: _updated(found, schedule))


def _schedule(settings: Settings) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            SweepWorkflow.run,
            args=[{}],
            id=SWEEP,
            task_queue=settings.sweep_queue,
            execution_timeout=MAKE_ROOM,
            static_summary="look for sagas that Temporal lost",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=settings.sweep_every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
        state=ScheduleState(note=_NOTE),
    )


def _updated(found: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate | None:
    there = found.description.schedule
    if there.spec.intervals == wanted.spec.intervals and _queue(there) == _queue(wanted):
        return None
    wanted.state = there.state
    return ScheduleUpdate(wanted)


def _queue(schedule: Schedule) -> str | None:
    action = schedule.action
    return action.task_queue if isinstance(action, ScheduleActionStartWorkflow) else None
