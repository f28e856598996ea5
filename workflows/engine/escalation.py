"""Escalates a step: asks an operator, and records the question and the answer in their name."""

from datetime import timedelta

from activities.step import Claim, Verdict
from activities.step_records import Doubt, Help, StepRecords
from workflows.contract.updates import Resolve
from workflows.engine.decisions import SYSTEM, Asked, Attention
from workflows.engine.run import ATTENTION, SagaRun, heed_cancel


async def ask(run: SagaRun, claim: Claim, why: str, *, undoing: bool, outside: bool) -> Asked:
    """Ask for an operator, visibly, and wait for their decision."""
    ours = claim.model_copy(update={"actor": SYSTEM, "verdict": None})
    help = Help(reason=why, undoing=undoing)
    await run.ours(StepRecords.ask_person, ours, help, summary=f"ask a person: {claim.step}")
    heed_cancel()
    attention = Attention(claim.step, undoing, outside)
    run.mark(claim.step, ATTENTION, why, tries=claim.tries, verbs=attention.verbs())
    asked = await run.waiting.ask(attention)
    assert asked is not None
    return asked


async def note_delay(run: SagaRun, claim: Claim, why: str) -> None:
    """Record that an undo had no success in so many tries, once the list of what waits shows it."""
    run.mark(claim.step, "undoing", why, tries=claim.tries)
    ours = claim.model_copy(update={"actor": SYSTEM, "verdict": None})
    doubt = Doubt(reason=why)
    await run.ours(StepRecords.note_delay, ours, doubt, summary=f"undo delayed: {claim.step}")


async def pause(
    run: SagaRun, claim: Claim, why: str, within: timedelta, *, outside: bool
) -> Asked | None:
    """Wait before the next attempt of an undo; an operator may decide meanwhile without being
    asked."""
    attention = Attention(claim.step, undoing=True, outside=outside)
    again = f"{why}; tried again in {within.total_seconds():g} s"
    run.mark(claim.step, "undoing", again, tries=claim.tries, verbs=attention.verbs())
    return await run.waiting.ask(attention, within)


async def as_told(run: SagaRun, claim: Claim, asked: Asked, *, undoing: bool) -> Claim:
    """The claim under which the step goes on as the operator decided.

    Their `retry` is recorded, and they are answered. The outcome that they resolve is recorded by
    the activity of the step, in their name, with all that follows from it: they are answered then.
    """
    told = {"actor": asked.by.actor, "decision": run.signed(asked.by)}
    theirs = claim.model_copy(update={**told, "verdict": verdict_of(asked, claim)})
    if theirs.verdict is not None:
        return theirs
    help = Help(reason=asked.by.reason, undoing=undoing)
    await run.ours(StepRecords.note_retry, theirs, help, summary=f"retry {claim.step}")
    asked.answer()
    return claim


def verdict_of(asked: Asked, claim: Claim) -> Verdict | None:
    """The outcome that the step's activity takes as given instead of asking the external system."""
    if isinstance(asked.by, Resolve):
        return Verdict(outcome=asked.by.outcome or "undone", evidence=asked.by.evidence)
    if asked.verb == "skip":
        return given_up(f"{claim.step}: skipped by {asked.by.actor}: {asked.by.reason}")
    return None


def given_up(residual: str) -> Verdict:
    """The verdict that ends the attempts of an undo; `residual` says what is left."""
    return Verdict(outcome="skipped", evidence=residual)
