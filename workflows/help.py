"""A step that a person has to look at: asked on record, answered on record, in his name."""

from activities.step import Claim, Verdict
from activities.step_records import GivenUp, Help, StepRecords
from workflows.attention import Attention
from workflows.inbox import Asked
from workflows.inputs import Resolve
from workflows.saga_run import ATTENTION, SagaRun, heed_cancel

SYSTEM = "system:amends"


async def ask(run: SagaRun, claim: Claim, why: str, *, undoing: bool, outside: bool) -> Asked:
    """Ask for a person, visibly, and wait for what he says."""
    ours = claim.model_copy(update={"actor": SYSTEM})
    help = Help(reason=why, undoing=undoing)
    await run.ours(StepRecords.ask_person, ours, help, summary=f"ask a person: {claim.step}")
    heed_cancel()
    run.mark(claim.step, ATTENTION, why)
    return await run.waiting.ask(Attention(claim.step, undoing, outside))


async def note(run: SagaRun, claim: Claim, asked: Asked, *, undoing: bool) -> str | None:
    """What he said goes on record, and then he is answered. Returns what is left of an undo that
    he skipped. How he resolves a step is recorded by its activity, with all that follows from it.
    """
    theirs = claim.model_copy(update={"actor": asked.by.actor})
    residual = None
    if asked.verb == "retry":
        help = Help(reason=asked.by.reason or "", undoing=undoing)
        await run.ours(StepRecords.note_retry, theirs, help, summary=f"retry {claim.step}")
    elif asked.verb == "skip":
        residual = f"{claim.step}: skipped by {asked.by.actor}: {asked.by.reason}"
        await skip(run, theirs, residual)
    asked.answer()
    return residual


async def skip(run: SagaRun, claim: Claim, residual: str) -> None:
    """The undo of the step is given up."""
    given_up = GivenUp(residual=residual)
    await run.ours(StepRecords.skip_undo, claim, given_up, summary=f"skip {claim.step}")
    run.mark(claim.step, "skipped", residual)


def verdict_of(asked: Asked) -> Verdict | None:
    """What the step's activity takes for true instead of asking the outside."""
    if not isinstance(asked.by, Resolve):
        return None
    return Verdict(outcome=asked.by.outcome or "undone", evidence=asked.by.evidence)
