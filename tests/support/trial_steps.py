"""A simulated external system that answers as scripted, and the activities that call it."""

from datetime import timedelta
from typing import Any, Literal

from temporalio import activity

from activities.adapters.payment import OutcomeUnknown
from activities.errors import Failed
from activities.providers.provider import ProviderRefused, ProviderUnavailable
from activities.step import Claim, Request
from ledger.aggregates.saga_step import StepDone, StepFailed, StepUndone
from ledger.aggregates.step_report import UndoReport
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.sagas.step_log import StepOutcome, commit_step, finish_step, start_step, undo_step
from ledger.store.commit import Decision, Loaded

Word = Literal["yes", "no", "unknown", "away", "in an hour", "bug"]


class TrialStep(Request):
    """One call, and what its step does when the system does not say yes."""

    name: str
    tell_within: timedelta = timedelta(minutes=1)
    undo_tries: int | None = None
    then: Literal["ask", "go_on"] = "ask"


class Ran(Request):
    """The call was carried out."""


class TrialSteps:
    """`says` is what the system answers to a call (`NAME`, `undo NAME`) from now on: else yes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.says: dict[str, Word] = {}
        self.calls: list[str] = []

    def _call(self, call: str) -> None:
        self.calls.append(call)
        match self.says.get(call, "yes"):
            case "no":
                raise ProviderRefused("the trial system says no", "trial_says_no")
            case "unknown":
                raise OutcomeUnknown("the trial system did not answer")
            case "away":
                raise ProviderUnavailable("the trial system is closed")
            case "in an hour":
                raise ProviderUnavailable("the trial system is busy", again_in_s=3_600)
            case "bug":
                raise LookupError("a mistake of whoever wrote the adapter")

    @activity.defn
    async def run_trial(self, claim: Claim, trial_step: TrialStep) -> Ran:
        step_claim = claim.step_claim(trial_step)
        within = timedelta(minutes=5)
        started = await start_step(
            self._database, claim.author(), step_claim, [], lambda _: Decision(None), within=within
        )
        step = started.step
        if step.undecided:
            if claim.verdict is None:
                self._call(trial_step.name)
            failed = claim.verdict is not None and claim.verdict.outcome == "failed"

            def finish(_: Loaded) -> Decision[StepOutcome]:
                return Decision(StepFailed(reason="told") if failed else StepDone(result={}))

            step = await finish_step(self._database, claim.author(), step_claim, [], finish)
        if step.state != "done":
            raise Failed(step.reason or "")
        return Ran()

    @activity.defn
    async def note_trial(self, claim: Claim, trial_step: TrialStep) -> Ran:
        """A step that calls nobody."""

        def note(_: Loaded) -> Decision[dict[str, Any]]:
            if self.says.get(trial_step.name) == "no":
                raise StateRefused("the trial system says no", "trial_says_no")
            return Decision({})

        step = claim.step_claim(trial_step)
        await commit_step(self._database, claim.author(), step, [], note)
        return Ran()

    @activity.defn
    async def undo_trial(self, claim: Claim, trial_step: TrialStep) -> UndoReport:
        if claim.verdict is None:
            self._call(f"undo {trial_step.name}")
        undone = Decision(StepUndone(note="taken back"))
        step_claim = claim.step_claim(trial_step)
        return await undo_step(self._database, claim.author(), step_claim, [], lambda _: undone)
