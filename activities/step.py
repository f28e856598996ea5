"""Input of every activity of a saga: the step, its actor and its epoch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Literal

from pydantic import Field, JsonValue
from temporalio import activity

from activities.errors import HEARTBEAT
from activities.namespace import this_run
from activities.request import Request as Request
from ledger.aggregates.saga_step import UndoPlan
from ledger.errors import StateRefused
from ledger.sagas.decisions import require_said
from ledger.sagas.saga_log import Opening
from ledger.sagas.signatures import Signed
from ledger.sagas.step_log import SAGA_KNOWN, StepClaim
from ledger.store.canonical_json import digest
from ledger.store.commit import Author

# The name of the activity that is carried out beside others, in one that carries out them all.
CARRIED_OUT: ContextVar[str | None] = ContextVar("carried_out", default=None)


class Verdict(Request):
    """The outcome of a step as an operator resolved it, in place of another external call;
    `skipped`: the undo is given up, and `evidence` says what is left."""

    outcome: Literal["done", "failed", "undone", "skipped"]
    evidence: str


class Claim(Request):
    """The step that an activity carries out: `ordinal` orders the steps of a saga by their start,
    `actor` is who wanted it, `context` what the caller reported (ip, session).

    `tries` had no outcome before this one. With a `verdict` no external system is called. The first
    step may open the saga and the last one close it with `ending`, its result, in the same commit;
    `ends_wait`: it carries out the decision that the saga waited for. `withdrawn`: whoever asked no
    longer wants it, so nothing more is sent, and only the outcome of what was sent is found out.
    `decision` is what the actor signed, where the step is carried out as they say.
    """

    saga_id: str
    step: str = ""
    ordinal: int = 0
    epoch: int
    actor: str
    undo: UndoPlan | None = None
    tries: int = 0
    verdict: Verdict | None = None
    opening: Opening | None = None
    ending: dict[str, JsonValue] | None = None
    ends_wait: bool = False
    withdrawn: bool = False
    # Left out where there is none: a worker of an earlier version does not know the field.
    decision: Signed | None = Field(default=None, exclude_if=lambda decision: decision is None)
    context: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def skipped(self) -> bool:
        """Whether the undo of the step is given up."""
        return self.verdict is not None and self.verdict.outcome == "skipped"

    @property
    def admitted(self) -> dict[str, Any] | None:
        """The request that this step opens the saga with, in the form in which it is stored."""
        return self.opening.input if self.opening else None

    def author(self) -> Author:
        """The author of this activity's events: the actor, and the run."""
        return Author(self.actor, self.saga_id, self.step or None, running_in(self.context))

    def step_claim(self, request: Request) -> StepClaim:
        """The claim in the ledger's form; another request has another input hash.

        Raises StateRefused `saga_known` for a step that would open a saga with a request that
        breaks the rules: only one that is there already goes on with it. Raises NotSigned for a
        request that approves something else than what was signed.
        """
        if self.opening is not None and self.opening.problems:
            raise StateRefused("the request is not admitted as a new one", SAGA_KNOWN)
        if self.decision is not None:
            require_said(self.decision, request.model_dump(mode="json", exclude_none=True))
        return StepClaim(
            saga_id=self.saga_id,
            step=self.step,
            ordinal=self.ordinal,
            epoch=self.epoch,
            activity=_carried_out(),
            input_hash=digest(request.model_dump(mode="json", exclude_defaults=True)),
            undo=self.undo,
            # What a person tells is no try.
            tries=self.tries + (activity.info().attempt if self.verdict is None else 0),
            evidence=self.verdict.evidence if self.verdict else None,
            outcome=self.verdict.outcome if self.verdict else None,
            opening=self.opening.by(this_run()) if self.opening else None,
            ending=self.ending,
            ends_wait=self.ends_wait,
            decision=self.decision,
        )


def _carried_out() -> str:
    return CARRIED_OUT.get() or activity.info().activity_type


def running_in(context: dict[str, JsonValue]) -> dict[str, Any]:
    """The metadata of an event: the run, the activity, the attempt, and the caller's context."""
    info = activity.info()
    metadata: dict[str, Any] = {
        "workflow_id": info.workflow_id,
        "run_id": info.workflow_run_id,
        "activity": _carried_out(),
        "attempt": info.attempt,
    }
    return metadata | ({"context": context} if context else {})


@asynccontextmanager
async def heartbeat() -> AsyncIterator[None]:
    """Heartbeats while the block waits for an external system; not at once, since most answer
    sooner, and a heartbeat takes the server as long as a tenth of a payment."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT.total_seconds() / 3)
            activity.heartbeat()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
