"""Reads sagas that Temporal has forgotten from the ledger."""

from typing import Any

from ledger.aggregates.saga import SagaState
from ledger.aggregates.saga_step import StepState
from ledger.read.sagas import saga as saga_story
from starter.client.errors import NotKnown
from starter.client.reading import reading
from workflows.contract.progress import Progress, StepProgress
from workflows.contract.updates import Verb, verbs


async def recorded_progress(url: str, saga_id: str) -> Progress:
    """The progress of a saga as recorded in the ledger."""
    async with reading(url) as database:
        story = await saga_story(database, saga_id)
    return progress_of(story.saga, story.steps)


async def decided_by(url: str, saga_id: str, verb: str) -> str | None:
    """The actor that approved or rejected the payment, as recorded; None if there is none."""
    async with reading(url) as database:
        story = await saga_story(database, saga_id)
    wanted = {"approve": "AuthorizationApproved", "reject": "AuthorizationRejected"}[verb]
    return next((each.user_id for each in story.events if each.event_type == wanted), None)


async def recorded_result(url: str, saga_id: str) -> dict[str, Any]:
    """The recorded result of a saga. Raises NotKnown for a saga that has not ended."""
    progress = await recorded_progress(url, saga_id)
    if progress.result is None:
        raise NotKnown(f"{saga_id} has no result: it is {progress.state}, and no run carries it")
    return progress.result


def progress_of(saga: SagaState, steps: list[StepState]) -> Progress:
    """The rows of a saga in the form of the query `progress`."""
    shown = [_step_of(saga, step) for step in steps]
    state: str = saga.state
    waits_for = ""
    for standing in ("needs_attention", "resolving"):
        if stuck := [step.name for step in shown if step.state == standing]:
            state, waits_for = standing, ", ".join(stuck)
            break
    return Progress(
        saga_id=saga.workflow_id,
        kind=saga.kind,
        state=state,
        waits_for=waits_for,
        reason=saga.cause,
        steps=shown,
        result=saga.result,
    )


def _step_of(saga: SagaState, step: StepState) -> StepProgress:
    undoing = saga.state == "compensating"
    tries = step.undo_tries if undoing or step.undo_tries else step.tries
    told = {"name": step.name, "detail": step.residual or step.reason, "tries": tries}
    if step.attention is not None and not saga.closed:
        more = {"detail": step.attention, "verbs": verbs_of(saga, step)}
        return StepProgress.model_validate({**told, "state": "needs_attention", **more})
    states = {
        "started": "running",
        "unknown": "resolving" if saga.state == "running" else "unknown",
    }
    return StepProgress.model_validate({**told, "state": states.get(step.state, step.state)})


def verbs_of(saga: SagaState, step: StepState) -> list[Verb]:
    """The operator actions that a step takes while it waits for an operator."""
    undoing = saga.state == "compensating"
    # What is looked up is always outside; an undo is, if its plan says so.
    outside = step.undo.outside if undoing and step.undo else True
    return verbs(undoing=undoing, outside=outside)
