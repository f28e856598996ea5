"""Reads sagas that Temporal has forgotten from the ledger."""

from typing import Any

from ledger.aggregates.saga import SAGA, SagaState
from ledger.aggregates.saga_step import ENDED, STEP, StepState
from ledger.read.sagas import saga as saga_story
from ledger.read.waits import Waiting, standing
from starter.client.environment import LedgerAddress
from starter.client.errors import NotKnown
from starter.client.reading import reading
from workflows.contract.progress import (
    Progress,
    StepProgress,
    Wait,
    decision_wait,
    orphan_wait,
    paused_wait,
    step_wait,
)
from workflows.contract.updates import Verb, verbs


async def recorded_progress(address: LedgerAddress, saga_id: str) -> Progress:
    """The progress of a saga as recorded in the ledger."""
    async with reading(address) as database:
        story = await saga_story(database, saga_id)
    return progress_of(story.saga, story.steps, story.waits)


async def decided_by(address: LedgerAddress, saga_id: str, verb: str) -> str | None:
    """The actor that approved or rejected the payment, as recorded; None if there is none."""
    async with reading(address) as database:
        story = await saga_story(database, saga_id)
    wanted = {"approve": "AuthorizationApproved", "reject": "AuthorizationRejected"}[verb]
    return next((each.user_id for each in story.events if each.event_type == wanted), None)


async def recorded_result(address: LedgerAddress, saga_id: str) -> dict[str, Any]:
    """The recorded result of a saga. Raises NotKnown for a saga that has not ended."""
    progress = await recorded_progress(address, saga_id)
    if progress.result is None:
        raise NotKnown(f"{saga_id} has no result: it is {progress.state}, and no run carries it")
    return progress.result


def progress_of(saga: SagaState, steps: list[StepState], waits: list[Waiting]) -> Progress:
    """The rows of a saga in the form of the query `progress`."""
    shown = [_step_of(saga, step) for step in steps]
    told = [wait_of(each) for each in waits]
    state, waits_for = standing({"state": saga.state}, waits)
    return Progress(
        saga_id=saga.workflow_id,
        kind=saga.kind,
        state=state,
        waits_for=waits_for,
        reason=saga.cause,
        waits=told,
        steps=shown,
        result=saga.result,
    )


def wait_of(waiting: Waiting) -> Wait:
    """What waits, in the form of the query `progress`."""
    saga = SagaState.model_validate(SAGA.state_of(waiting.saga))
    if waiting.step is not None:
        recorded = StepState.model_validate(STEP.state_of(waiting.step))
        step = _step_of(saga, recorded).model_copy(update={"since": waiting.since})
        wait = step_wait(saga.workflow_id, step, undoing=waiting.undoing)
        assert wait is not None, waiting
        return wait
    if waiting.state == "paused":
        return paused_wait(
            saga.workflow_id, saga.run_paused or "", since=waiting.since, until=saga.waits_until
        )
    if waiting.state == "orphaned":
        if saga.lost is None:
            words = (saga.run_closed or "").replace("_", " ")
            return orphan_wait(waiting.since, f"its run is {words} in Temporal")
        return orphan_wait(waiting.since, f"its run is recorded as lost ({saga.lost})")
    return decision_wait(
        saga.workflow_id,
        saga.waits_for or "",
        saga.waits_on or "",
        waiting.since,
        saga.waits_until,
    )


def _step_of(saga: SagaState, step: StepState) -> StepProgress:
    state = _state_of(saga, step)
    asked = {"needs_attention": step.attention, "undoing": step.delayed}.get(state)
    told = {
        "name": step.name,
        "state": state,
        "detail": asked or step.residual or step.reason,
        "tries": _tries_of(saga, step, state),
        "verbs": verbs_of(saga, step) if asked else [],
        "until": step.looked_up_until if state == "resolving" else None,
    }
    return StepProgress.model_validate(told)


def _state_of(saga: SagaState, step: StepState) -> str:
    is_asked = step.attention is not None and step.asked_in == saga.epoch
    if is_asked and not saga.closed:
        return "needs_attention"
    if step.state in ENDED:
        return step.state
    # An operator's `retry` ends a delay, and the undo goes on.
    if saga.state == "compensating" and (step.delayed is not None or step.undo_tries):
        return "undoing"
    if step.state == "unknown" and saga.state == "running":
        return "resolving"
    return "running" if step.state == "started" else step.state


def _tries_of(saga: SagaState, step: StepState, state: str) -> int:
    """The tries as the run shows them, as far as they are on record."""
    if state in ("undoing", *ENDED):
        return step.undo_tries
    if state == "needs_attention" and saga.state == "compensating":
        return step.undo_tries
    return step.tries if state in ("resolving", "needs_attention") else 0


def verbs_of(saga: SagaState, step: StepState) -> list[Verb]:
    """The operator actions that a step takes while it waits for an operator."""
    undoing = saga.state == "compensating"
    # What is looked up is always outside; an undo is, if its plan says so.
    outside = step.undo.outside if undoing and step.undo else True
    return verbs(undoing=undoing, outside=outside)
