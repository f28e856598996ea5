"""Reads sagas that Temporal has forgotten from the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.step_report import ENDED
from ledger.read.sagas import SagaStory, is_unsigned
from ledger.read.sagas import saga as saga_story
from ledger.read.waits import Waiting, standing
from starter.client.environment import LedgerAddress
from starter.client.errors import NotKnown
from starter.client.reading import reading
from workflows.contract.waits import (
    StepProgress,
    Verb,
    Wait,
    decision_wait,
    orphan_wait,
    paused_wait,
    step_wait,
    verbs,
)

if TYPE_CHECKING:
    from workflows.contract.progress import Progress

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Recorded:
    """The rows of a saga in the words of `Progress`, without its model, which takes time to
    import. The ledger does not tell the decision."""

    saga_id: str
    kind: str
    state: str
    waits_for: str
    reason: str | None
    waits: list[Wait]
    steps: list[StepProgress]
    result: dict[str, Any] | None
    decision: str | None = None


async def recorded_progress(address: LedgerAddress, saga_id: str) -> "Progress":
    """The progress of a saga as recorded in the ledger."""
    async with reading(address) as database:
        story = await saga_story(database, saga_id)
    return progress_of(story)


async def decided_by(address: LedgerAddress, saga_id: str, verb: str) -> set[str]:
    """The actors that approved or rejected the payment, as recorded."""
    async with reading(address) as database:
        story = await saga_story(database, saga_id)
    wanted = {"approve": "AuthorizationApproved", "reject": "AuthorizationRejected"}[verb]
    return {each.user_id for each in story.events if each.event_type == wanted}


async def recorded_result(address: LedgerAddress, saga_id: str) -> dict[str, Any]:
    """The recorded result of a saga. Raises NotKnown for a saga that has not ended."""
    progress = await recorded_progress(address, saga_id)
    if progress.result is None:
        raise NotKnown(f"{saga_id} has no result: it is {progress.state}, and no run carries it")
    return progress.result


def progress_of(story: SagaStory) -> "Progress":
    """The rows of a saga in the form of the query `progress`."""
    from workflows.contract.progress import Progress

    recorded = recorded_of(story)
    ended = recorded.result
    unsigned = is_unsigned(story.events) if ended is None else bool(ended.get("unsigned"))
    return Progress(**vars(recorded), unsigned=unsigned)


def recorded_of(story: SagaStory, where: str = "") -> Recorded:
    """The rows of a saga in the words of the query `progress`. `where`: see `wait_of`. Raises
    RowUnreadable."""
    saga = story.row
    state, waits_for = standing(saga, story.waits)
    return Recorded(
        saga_id=saga["workflow_id"],
        kind=saga["kind"],
        state=state,
        waits_for=waits_for,
        reason=saga["cause"],
        waits=[wait_of(each, where) for each in story.waits],
        steps=[_step_of(saga, step) for step in story.step_rows],
        result=saga["result"],
    )


def wait_of(waiting: Waiting, where: str = "") -> Wait:
    """What waits, in the form of the query `progress`. `where` are the options with which the
    official CLI finds the server, as far as they are known. Raises RowUnreadable."""
    saga = waiting.saga
    saga_id = saga["workflow_id"]
    if waiting.step is not None:
        step = replace(_step_of(saga, waiting.step), since=waiting.since)
        wait = step_wait(saga_id, step, undoing=waiting.undoing)
        assert wait is not None, waiting
        return wait
    if waiting.state == "paused":
        since, until = waiting.since, saga["waits_until"]
        return paused_wait(saga_id, saga["run_paused"] or "", where, since=since, until=until)
    if waiting.state == "orphaned":
        if saga["lost"] is None:
            words = (saga["run_closed"] or "").replace("_", " ")
            return orphan_wait(waiting.since, f"its run is {words} in Temporal")
        return orphan_wait(waiting.since, f"its run is recorded as lost ({saga['lost']})")
    return decision_wait(
        saga_id,
        saga["waits_for"] or "",
        saga["waits_on"] or "",
        waiting.since,
        saga["waits_until"],
    )


def _step_of(saga: Row, step: Row) -> StepProgress:
    state = _state_of(saga, step)
    asked = {"needs_attention": step["attention"], "undoing": step["delayed"]}.get(state)
    return StepProgress(
        name=step["name"],
        state=cast(Any, state),
        detail=asked or step["residual"] or step["reason"],
        tries=_tries_of(saga, step, state),
        verbs=verbs_of(saga, step) if asked else [],
        until=step["looked_up_until"] if state == "resolving" else None,
    )


def _state_of(saga: Row, step: Row) -> str:
    is_asked = step["attention"] is not None and step["asked_in"] == saga["epoch"]
    if is_asked and saga["ended_at"] is None:
        return "needs_attention"
    if step["state"] in ENDED:
        return str(step["state"])
    # An operator's `retry` ends a delay, and the undo goes on.
    if saga["state"] == "compensating" and (step["delayed"] is not None or step["undo_tries"]):
        return "undoing"
    if step["state"] == "unknown" and saga["state"] == "running":
        return "resolving"
    return "running" if step["state"] == "started" else str(step["state"])


def _tries_of(saga: Row, step: Row, state: str) -> int:
    """The tries as the run shows them, as far as they are on record."""
    if state in ("undoing", *ENDED):
        return int(step["undo_tries"])
    if state == "needs_attention" and saga["state"] == "compensating":
        return int(step["undo_tries"])
    return int(step["tries"]) if state in ("resolving", "needs_attention") else 0


def verbs_of(saga: Row, step: Row) -> list[Verb]:
    """The operator actions that a step takes while it waits for an operator. Raises
    RowUnreadable."""
    undoing = saga["state"] == "compensating"
    if not undoing or step["undo"] is None:
        # What is looked up is always outside; an undo is, if its plan says so.
        return verbs(undoing=undoing, outside=True)
    outside = step["undo"].get("outside") if isinstance(step["undo"], Mapping) else None
    if not isinstance(outside, bool):
        raise RowUnreadable(str(step["aggregate"]), ["undo"])
    return verbs(undoing=undoing, outside=outside)
