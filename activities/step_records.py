"""What is written of a step on its way: that nobody knows its outcome, that a person is asked."""

from temporalio import activity

from activities.step import Claim, Request
from ledger.aggregates.aggregate import Event
from ledger.aggregates.saga_step import (
    StepAttentionRequested,
    StepLeftUnknown,
    StepRetryRequested,
)
from ledger.database import Database
from ledger.sagas.step_log import Phase, note_step


class Doubt(Request):
    """Nobody can tell whether the step happened, for this reason."""

    reason: str


class Help(Request):
    """A person has to look at the step, or at its undo, or did and says why it goes on."""

    reason: str | None
    undoing: bool


class StepRecords:
    """The record of what no outcome is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def note_unknown(self, claim: Claim, doubt: Doubt) -> None:
        """The outside may have done it: it is looked up from now on."""
        await self._note(claim, "running", StepLeftUnknown(reason=doubt.reason))

    @activity.defn
    async def ask_person(self, claim: Claim, help: Help) -> None:
        """A person is asked, after `claim.tries` tries."""
        event = StepAttentionRequested(
            reason=help.reason or "",
            epoch=claim.epoch,
            tries=claim.tries,
            undoing=help.undoing,
        )
        await self._note(claim, _phase(help.undoing), event)

    @activity.defn
    async def note_retry(self, claim: Claim, help: Help) -> None:
        """A person says: try it again."""
        event = StepRetryRequested(
            reason=help.reason, epoch=claim.epoch, tries=claim.tries, undoing=help.undoing
        )
        await self._note(claim, _phase(help.undoing), event)

    async def _note(self, claim: Claim, phase: Phase, event: Event) -> None:
        await note_step(self._database, claim.author(), claim.step_claim(Request()), phase, event)


def _phase(undoing: bool) -> Phase:
    return "compensating" if undoing else "running"
