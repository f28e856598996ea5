"""Reads sagas that Temporal has forgotten from the ledger."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg.errors import InvalidSchemaName, UndefinedTable

from ledger.aggregates.aggregate import UnknownEvent
from ledger.aggregates.saga import SagaState
from ledger.aggregates.saga_step import StepState
from ledger.database import Database, open_database
from ledger.errors import (
    Ambiguous,
    DatabaseUnavailable,
    EndedBySetting,
    LogDamaged,
    NotFound,
    NotThere,
    StateRefused,
    TryAgain,
)
from ledger.read import show
from ledger.read.waits import Waiting
from starter.client.environment import LedgerAddress
from starter.client.errors import AmendsError, NotAllowed, NotKnown, Unreachable, WrongSetting
from workflows.contract.progress import (
    Progress,
    StepProgress,
    Wait,
    decision_wait,
    orphan_wait,
    step_wait,
)
from workflows.contract.updates import Verb, verbs

# Among how many sagas the run of a schedule is looked for.
_NEWEST = 1_000


@asynccontextmanager
async def reading(address: LedgerAddress) -> AsyncIterator[Database]:
    """The ledger, for a reader. Raises Unreachable, WrongSetting and NotKnown for what fails
    inside."""
    try:
        async with open_database(address.url, size=2, pooling=address.pooling) as database:
            yield database
    except EndedBySetting as error:
        raise WrongSetting(f"the ledger can't be read: {error}") from None
    except DatabaseUnavailable:
        raise Unreachable(
            "the ledger can't be reached: run amends up here, or correct AMENDS_AUDIT_URL"
        ) from None
    except TryAgain as error:
        raise Unreachable(f"the ledger is busy: {error}: ask again") from None
    except NotThere as error:
        raise NotKnown(str(error)) from None
    except NotFound as error:
        raise NotKnown(f"{error}: amends sagas and amends log list the names") from None
    except (Ambiguous, StateRefused) as error:
        raise NotAllowed(str(error)) from None
    except (UnknownEvent, LogDamaged) as error:
        raise AmendsError(str(error)) from None
    except (UndefinedTable, InvalidSchemaName):
        raise Unreachable("no ledger in this database: run amends migrate") from None


async def meant_by(database: Database, text: str) -> str:
    """The aggregate that a short name means: see `resolve_id`; the name of a schedule means its
    newest run. Raises the ledger's NotFound and Ambiguous."""
    try:
        return await show.resolve_id(database, text)
    except NotFound:
        run = re.compile(rf"rollback/{re.escape(text)}-\d{{4}}-\d\d-\d\dT[0-9:]+Z")
        for saga in await show.sagas(database, limit=_NEWEST):
            if run.fullmatch(saga.workflow_id):
                return f"saga/{saga.workflow_id}"
        raise


async def recorded_progress(address: LedgerAddress, saga_id: str) -> Progress:
    """The progress of a saga as recorded in the ledger."""
    async with reading(address) as database:
        story = await show.saga(database, saga_id)
    return progress_of(story.saga, story.steps, story.waits)


async def decided_by(address: LedgerAddress, saga_id: str, verb: str) -> str | None:
    """The actor that approved or rejected the payment, as recorded; None if there is none."""
    async with reading(address) as database:
        story = await show.saga(database, saga_id)
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
    state, waits_for = standing_of(saga, told)
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


def standing_of(saga: SagaState, waits: list[Wait]) -> tuple[str, str]:
    """The state that people see, and what the saga waits for: those of its worst steps, as the
    search attributes `SagaState` and `SagaStep` say them."""
    for state in _WORST_FIRST:
        if named := [wait.waits_for for wait in waits if wait.state == state]:
            return state, ", ".join(named)
    return saga.state, ""


_WORST_FIRST = ("orphaned", "needs_attention", "resolving", "compensating", "running")


def wait_of(waiting: Waiting) -> Wait:
    """What waits, in the form of the query `progress`."""
    saga = waiting.saga
    if waiting.step is not None:
        step = _step_of(saga, waiting.step).model_copy(update={"since": waiting.since})
        wait = step_wait(saga.workflow_id, step, undoing=waiting.undoing)
        assert wait is not None, waiting
        return wait
    if waiting.state == "orphaned":
        return orphan_wait(waiting.since, f"its run is recorded as lost ({saga.lost})")
    return decision_wait(
        saga.workflow_id,
        saga.waits_for or "",
        saga.waits_on or "",
        waiting.since,
        saga.waits_until,
    )


def _step_of(saga: SagaState, step: StepState) -> StepProgress:
    undoing = saga.state == "compensating"
    tries = step.undo_tries if undoing or step.undo_tries else step.tries
    told = {"name": step.name, "detail": step.residual or step.reason, "tries": tries}
    if step.attention is not None and not saga.closed:
        more = {"detail": step.attention, "verbs": verbs_of(saga, step)}
        return StepProgress.model_validate({**told, "state": "needs_attention", **more})
    if step.delayed is not None and not saga.closed:
        more = {"detail": step.delayed, "verbs": verbs_of(saga, step)}
        return StepProgress.model_validate({**told, "state": "undoing", **more})
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
