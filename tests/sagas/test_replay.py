"""Each shape of a saga replays: what was recorded yesterday goes on under today's code.

A history under tests/histories/ is what a release may have left open on a server. Record a new
one (`python -m tests.record_histories`) when a shape is added; a change that breaks an old one
needs `workflow.patched`, not a new recording.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.sagas.books import Books
from tests.sagas.conftest import Inject, NewAgent
from tests.sagas.shapes import SHAPES, Stage
from tests.sagas.teller import Teller
from worker.wiring import sandbox
from workflows.agent import AgentSaga
from workflows.border import DATA_CONVERTER
from workflows.infrastructure import InfrastructureSaga
from workflows.payment import PaymentSaga
from workflows.policy import PolicySaga
from workflows.rollback import RollbackSaga

HISTORIES = Path(__file__).parent.parent / "histories"
RECORD = "AMENDS_RECORD_HISTORIES"
SAVED = sorted(path.stem for path in HISTORIES.glob("*.json"))


@pytest.fixture(scope="session")
def replayer() -> Replayer:
    return Replayer(
        workflows=[PaymentSaga, AgentSaga, PolicySaga, InfrastructureSaga, RollbackSaga],
        workflow_runner=sandbox(),
        data_converter=DATA_CONVERTER,
    )


def saved(name: str) -> str:
    return (HISTORIES / f"{name}.json").read_text()


def history_of(text: str) -> WorkflowHistory:
    """A history under the workflow id that it was recorded with: sagas look at their id."""
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


@pytest.mark.parametrize("name", SHAPES)
async def test_a_run_of_each_shape_replays(
    teller: Teller,
    books: Books,
    inject: Inject,
    new_agent: NewAgent,
    replayer: Replayer,
    name: str,
) -> None:
    handle = await SHAPES[name](Stage(teller, books, inject, new_agent))
    history = await handle.fetch_history()
    await replayer.replay_workflow(history)
    if RECORD in os.environ:
        record(name, history)
    assert name in SAVED, "record it: python -m tests.record_histories"


@pytest.mark.parametrize("name", SAVED)
async def test_a_history_that_was_recorded_earlier_replays(replayer: Replayer, name: str) -> None:
    await replayer.replay_workflow(history_of(saved(name)))
    assert not [word for word in ("site-packages", "/usr/", "/home/") if word in saved(name)]


@pytest.mark.parametrize(
    ("was", "would_be"),
    [
        ("execute_transfer", "reverse_transfer"),
        ("EVENT_TYPE_ACTIVITY_TASK_SCHEDULED", "EVENT_TYPE_TIMER_STARTED"),
    ],
)
async def test_a_history_of_other_code_does_not_replay(
    replayer: Replayer, was: str, would_be: str
) -> None:
    other = saved("payment-captured").replace(f'"{was}"', f'"{would_be}"')
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(history_of(other))


def record(name: str, history: WorkflowHistory) -> None:
    """Save a history, without the names of the machine it was made on."""
    events = json.loads(history.to_json())
    HISTORIES.mkdir(exist_ok=True)
    (HISTORIES / f"{name}.json").write_text(json.dumps(_of_no_machine(events), indent=1) + "\n")
    SAVED.append(name)


def _of_no_machine(value: Any) -> Any:
    if isinstance(value, list):
        return [_of_no_machine(each) for each in value]
    if isinstance(value, dict):
        return {
            name: "" if name in ("identity", "stackTrace") else _of_no_machine(each)
            for name, each in value.items()
        }
    return value
