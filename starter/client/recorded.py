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
    LogDamaged,
    NotFound,
    NotThere,
    StateRefused,
    TryAgain,
)
from ledger.read import show
from starter.client.errors import AmendsError, NotAllowed, NotKnown, Unreachable
from workflows.contract.kinds import BY_NAME
from workflows.contract.progress import Progress, StepProgress
from workflows.contract.updates import Verb, verbs

# Among how many sagas the run of a schedule is looked for.
_NEWEST = 1_000


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Database]:
    """The ledger, for a reader. Raises Unreachable and NotKnown for what fails inside."""
    try:
        async with open_database(url, size=2) as database:
            yield database
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
        kinds = "|".join(BY_NAME)
        run = re.compile(rf"(?:{kinds})/{re.escape(text)}-\d{{4}}-\d\d-\d\dT[0-9:]+Z")
        for saga in await show.sagas(database, limit=_NEWEST):
            if run.fullmatch(saga.workflow_id):
                return f"saga/{saga.workflow_id}"
        raise


async def recorded_progress(url: str, saga_id: str) -> Progress:
    """The progress of a saga as recorded in the ledger."""
    async with reading(url) as database:
        story = await show.saga(database, saga_id)
    return progress_of(story.saga, story.steps)


async def decided_by(url: str, saga_id: str, verb: str) -> str | None:
    """The actor that approved or rejected the payment, as recorded; None if there is none."""
    async with reading(url) as database:
        story = await show.saga(database, saga_id)
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
