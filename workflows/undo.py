"""The undo of one step: tried until it has success, or as the policy of the step says."""

from dataclasses import dataclass
from typing import Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.saga_records import StepToUndo
from activities.step import Claim
from ledger.saga_steps import StepUndone, UndoPlan
from workflows.help import ask, note, skip, verdict_of
from workflows.resolving import FIRST_PAUSE, longer
from workflows.saga_run import SagaRun, cause_of


@dataclass(frozen=True)
class UndoPolicy:
    """What becomes of an undo that has no success: it is tried for ever, or after so many `tries`
    a person is asked, or the saga goes on and reports a residual."""

    tries: int | None = None
    then: Literal["ask", "go_on"] = "ask"


FOR_EVER = UndoPolicy()


async def undo_step(run: SagaRun, step: StepToUndo, actor: str) -> str | None:
    """Undo one step, however long that takes; returns what is left of it, if anything."""
    claim = run.claim(actor).model_copy(update={"step": step.name, "ordinal": step.ordinal})
    run.mark(step.name, "undoing")
    pause = FIRST_PAUSE
    while True:
        try:
            undone = await _run_undo(run, claim, step.undo)
        except ActivityError as error:
            if not isinstance(error.cause, ApplicationError) or error.cause.type == "Fenced":
                raise
            why = cause_of(error)
        else:
            run.mark(step.name, "undone", undone.residual or undone.note)
            return undone.residual
        claim = claim.model_copy(update={"tries": claim.tries + 1, "verdict": None})
        if step.undo.tries is None or claim.tries % step.undo.tries:
            run.mark(step.name, "undoing", f"{why}; tried again in {pause}")
            await workflow.sleep(pause, summary=f"undo {step.name} again")
            pause = longer(pause)
            continue
        if step.undo.then == "go_on":
            left = f"{step.name}: not undone after {claim.tries} tries ({why})"
            await skip(run, claim, left)
            return left
        asked = await ask(run, claim, why, undoing=True, outside=step.undo.outside)
        residual = await note(run, claim, asked, undoing=True)
        if residual is not None:
            return residual
        claim = claim.model_copy(update={"verdict": verdict_of(asked)})
        run.mark(step.name, "undoing")
        pause = FIRST_PAUSE


async def _run_undo(run: SagaRun, claim: Claim, undo: UndoPlan) -> StepUndone:
    call = run.outside if undo.outside else run.ours
    undone: StepUndone = await call(
        undo.activity,
        *(claim, undo.request),
        summary=f"undo {claim.step}",
        result_type=StepUndone,
    )
    return undone
