"""A local activity that the SDK gave up as cancelled, though nobody cancelled: it is run again.

Seen when PostgreSQL was killed while a workflow task ran: the task timed out, and the next one on
that worker was told of the cancel of the first one's activity. What the SDK does is scripted here.
"""

import asyncio
from typing import Any

import pytest
from temporalio import workflow
from temporalio.exceptions import CancelledError

from workflows.engine.run import SagaRun


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SDK gives up the first two calls."""
    made: list[str] = []

    async def execute(activity: str, **_: Any) -> str:
        made.append(activity)
        if len(made) <= 2:
            raise CancelledError("given up with its workflow task")
        return "done"

    monkeypatch.setattr(workflow, "execute_local_activity", execute)
    return made


def run() -> SagaRun:
    """No more of a saga than it takes to call an activity."""
    return SagaRun.__new__(SagaRun)


async def test_what_nobody_cancelled_is_run_again(calls: list[str]) -> None:
    assert await run().ours("authorize", summary="authorize") == "done"
    assert calls == ["authorize"] * 3


async def test_what_somebody_cancelled_is_not(calls: list[str]) -> None:
    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        await run().ours("authorize", summary="authorize")

    with pytest.raises(CancelledError):
        await asyncio.create_task(cancelled())
    assert calls == ["authorize"]
