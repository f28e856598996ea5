"""Histories of sagas: saved under tests/histories/, and replayed under the code of today."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from worker.sandbox import runner
from workflows.contract.admission import DATA_CONVERTER
from workflows.engine.inbound import Inbound
from workflows.kinds import SAGAS
from workflows.recovery import RecoverySaga
from workflows.sweep import SweepWorkflow

HISTORIES = Path(__file__).parents[1] / "histories"
RECORD = "AMENDS_RECORD_HISTORIES"


class DoesNotReplay(AssertionError):
    """A change of a workflow that a run which is open on a server would not survive."""


# As in a worker, one for all runs.
_runner = cache(runner)


def replayer(workflow_sandbox: str = "on") -> Replayer:
    """Replays every workflow there is, in the sandbox of the worker, or without it."""
    return Replayer(
        workflows=[*SAGAS, RecoverySaga, SweepWorkflow],
        workflow_runner=_runner(workflow_sandbox),
        data_converter=DATA_CONVERTER,
        interceptors=[Inbound({})],
    )


async def replay(name: str, history: WorkflowHistory, workflow_sandbox: str = "on") -> None:
    """Raises DoesNotReplay, with what to do."""
    try:
        await replayer(workflow_sandbox).replay_workflow(history)
    except NondeterminismError as error:
        started = history.events[0].workflow_execution_started_event_attributes
        raise DoesNotReplay(
            f"{started.workflow_type.name} no longer replays the history {name}: runs that are "
            f"open would be stuck. Keep the old way behind workflow.patched('...') for runs that "
            f"began on it, or give the workflow a new version; do not record this history anew. "
            f"({error})"
        ) from error


def names() -> list[str]:
    """The saved histories."""
    return sorted(path.stem for path in HISTORIES.glob("*.json"))


def saved(name: str) -> str:
    """A history as it stands in its file."""
    return (HISTORIES / f"{name}.json").read_text()


def history_of(text: str) -> WorkflowHistory:
    """A history under the workflow id that it was recorded with: sagas look at their id."""
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


def record(name: str, history: WorkflowHistory) -> None:
    """Save a history, without the names of the machine it was made on."""
    events = json.loads(history.to_json())
    HISTORIES.mkdir(exist_ok=True)
    (HISTORIES / f"{name}.json").write_text(json.dumps(_of_no_machine(events), indent=1) + "\n")


def _of_no_machine(value: Any) -> Any:
    if isinstance(value, list):
        return [_of_no_machine(each) for each in value]
    if isinstance(value, dict):
        return {
            name: "" if name in ("identity", "stackTrace") else _of_no_machine(each)
            for name, each in value.items()
        }
    return value
