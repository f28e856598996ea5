"""The floor that sagas stand on: as many activities, all empty, and nothing of ours imported."""

from datetime import timedelta

from temporalio import activity, workflow

from benchmarks import STEPS

LOCAL_BEFORE, LOCAL_AFTER = 2, 2
_SHORT = timedelta(seconds=10)


@activity.defn
async def nothing() -> None:
    """Do nothing."""


@workflow.defn
class PlainWorkflow:
    """As many local and ordinary activities as an automatic payment has."""

    @workflow.run
    async def run(self) -> None:
        for _ in range(LOCAL_BEFORE):
            await workflow.execute_local_activity(nothing, start_to_close_timeout=_SHORT)
        await workflow.execute_activity(nothing, start_to_close_timeout=_SHORT)
        for _ in range(LOCAL_AFTER):
            await workflow.execute_local_activity(nothing, start_to_close_timeout=_SHORT)


@workflow.defn
class FiveLocal:
    """Five empty local activities."""

    @workflow.run
    async def run(self) -> None:
        for _ in range(STEPS):
            await workflow.execute_local_activity(nothing, start_to_close_timeout=_SHORT)


@workflow.defn
class FiveOrdinary:
    """Five empty ordinary activities."""

    @workflow.run
    async def run(self) -> None:
        for _ in range(STEPS):
            await workflow.execute_activity(nothing, start_to_close_timeout=_SHORT)
