"""Answers a start that its task queue does not serve. Left alone, the SDK tries such a start again
for ever, and its workflow id is taken."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from activities.errors import invalid_input

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


@workflow.defn(dynamic=True, sandboxed=False)
class Misdirected:
    """Takes every start that no other workflow of its worker takes; `Inbound` fails it."""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> Any:
        """Fail: `Inbound` knows the reason."""
        raise wrong_address({})

    @workflow.update(dynamic=True)
    async def any_update(self, name: str, args: Sequence[RawValue]) -> None:
        """Fail: `Inbound` knows the reason."""
        raise wrong_address({})


def wrong_address(served: Mapping[str, str]) -> ApplicationError:
    """The failure of the current run: its type belongs to another queue, or is none. `served` is
    the task queue of each workflow type."""
    info = workflow.info()
    asked, queue = info.workflow_type, info.task_queue
    if right := served.get(asked):
        return invalid_input(
            [("task_queue", f"{asked} is served on {right}, and not on {queue}: start it there")]
        )
    # Whatever else the caller wrote may be anything.
    name = asked if _NAME.fullmatch(asked) else "another name"
    near = get_close_matches(asked, served, n=1)
    there = ", ".join(f"{each} on {served[each]}" for each in near or sorted(served))
    may_be = f"it may be {there}" if near else f"there are {there}"
    return invalid_input([("workflow_type", f"{name} is no workflow of {queue}: {may_be}")])
