"""An outside that says what a test wants it to say: a desk where errands are run and taken back."""

from datetime import timedelta
from typing import Literal

from temporalio import activity

from activities.adapters.payment import OutcomeUnknown
from activities.errors import Failed
from activities.providers.provider import ProviderRefused, ProviderUnavailable
from activities.step import Claim, Request
from ledger.aggregates.saga_step import StepDone, StepFailed, StepUndone
from ledger.database import Database
from ledger.sagas.step_log import StepOutcome, finish_step, start_step, undo_step
from ledger.store.commit import Decision, Loaded

Word = Literal["yes", "no", "unknown", "away", "in an hour", "bug"]


class Errand(Request):
    """What is run at the desk, and what its step does when the desk does not say yes."""

    name: str
    tell_within: timedelta = timedelta(minutes=1)
    undo_tries: int | None = None
    then: Literal["ask", "go_on"] = "ask"


class Ran(Request):
    """The errand was run."""


class Desk:
    """`says` is what the desk answers to a call (`NAME`, `undo NAME`) from now on: else yes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.says: dict[str, Word] = {}
        self.calls: list[str] = []

    def _call(self, call: str) -> None:
        self.calls.append(call)
        match self.says.get(call, "yes"):
            case "no":
                raise ProviderRefused("the desk says no", "desk_says_no")
            case "unknown":
                raise OutcomeUnknown("the desk did not answer")
            case "away":
                raise ProviderUnavailable("the desk is closed")
            case "in an hour":
                raise ProviderUnavailable("the desk is busy", again_in_s=3_600)
            case "bug":
                raise LookupError("a mistake of whoever wrote the desk's adapter")

    @activity.defn
    async def run_errand(self, claim: Claim, errand: Errand) -> Ran:
        step_claim = claim.step_claim(errand)
        within = timedelta(minutes=5)
        started = await start_step(
            self._database, claim.author(), step_claim, [], lambda _: Decision(None), within=within
        )
        step = started.step
        if step.undecided:
            if claim.verdict is None:
                self._call(errand.name)
            failed = claim.verdict is not None and claim.verdict.outcome == "failed"

            def finish(_: Loaded) -> Decision[StepOutcome]:
                return Decision(StepFailed(reason="told") if failed else StepDone(result={}))

            step = await finish_step(self._database, claim.author(), step_claim, [], finish)
        if step.state != "done":
            raise Failed(step.reason or "")
        return Ran()

    @activity.defn
    async def take_errand_back(self, claim: Claim, errand: Errand) -> StepUndone:
        if claim.verdict is None:
            self._call(f"undo {errand.name}")
        undone = Decision(StepUndone(note="taken back"))
        step_claim = claim.step_claim(errand)
        return await undo_step(self._database, claim.author(), step_claim, [], lambda _: undone)
