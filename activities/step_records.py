"""Records events of a step that are no outcome: in doubt, escalated, retried."""

from datetime import datetime

from temporalio import activity

from activities.step import Claim, Request
from ledger.aggregates.aggregate import Event
from ledger.aggregates.saga_step import (
    StepAttentionRequested,
    StepLeftUnknown,
    StepRetryRequested,
    StepState,
    StepUndoDelayed,
)
from ledger.database import Database
from ledger.sagas.step_log import Phase, note_step


class Doubt(Request):
    """The reason why the outcome of a step is in doubt, or its undo had no success; of a doubt, the
    time until which it is looked up."""

    reason: str
    until: datetime | None = None


class Help(Request):
    """An escalation of a step or its undo to an operator, or the operator's `retry`, with the
    reason."""

    reason: str | None
    undoing: bool


class StepRecords:
    """Activities that record what happens to a step before its outcome."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def note_unknown(self, claim: Claim, doubt: Doubt) -> datetime | None:
        """Records that the external call is in doubt: its outcome is looked up from now on. Returns
        until when, which a doubt that is on record already has told; None: its outcome is known."""
        event = StepLeftUnknown(reason=doubt.reason, until=doubt.until)
        return (await self._note(claim, "running", event)).looked_up_until

    @activity.defn
    async def ask_person(self, claim: Claim, help: Help) -> None:
        """Records an escalation, after `claim.tries` tries."""
        event = StepAttentionRequested(
            reason=help.reason or "",
            epoch=claim.epoch,
            tries=claim.tries,
            undoing=help.undoing,
        )
        await self._note(claim, _phase(help.undoing), event)

    @activity.defn
    async def note_delay(self, claim: Claim, doubt: Doubt) -> None:
        """Records that an undo had no success in `claim.tries` tries and is tried again."""
        event = StepUndoDelayed(reason=doubt.reason, epoch=claim.epoch, tries=claim.tries)
        await self._note(claim, "compensating", event)

    @activity.defn
    async def note_retry(self, claim: Claim, help: Help) -> None:
        """Records an operator's `retry`."""
        event = StepRetryRequested(
            reason=help.reason, epoch=claim.epoch, tries=claim.tries, undoing=help.undoing
        )
        await self._note(claim, _phase(help.undoing), event)

    async def _note(self, claim: Claim, phase: Phase, event: Event) -> StepState:
        step = claim.step_claim(Request())
        return await note_step(self._database, claim.author(), step, phase, event)


def _phase(undoing: bool) -> Phase:
    return "compensating" if undoing else "running"
