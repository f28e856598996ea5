"""Words sagas for people: the request and the progress, each in one line."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starter.client.advice import advice_on
from starter.client.endings import changes_in, ended_as

if TYPE_CHECKING:
    from starter.client.kinds import Request
    from starter.client.recorded import Recorded
    from workflows.contract.progress import Progress
    from workflows.contract.waits import StepProgress

# Ends of payments in which a person decided, so that nothing is left to do.
_RELEASED = frozenset({"rejected", "voided", "expired"})
NOTHING_DONE = "nothing was done now"
UNSIGNED = "not signed, as only development allows"
ASKED_BEFORE = f"{NOTHING_DONE}: the request was submitted before, and this is its first answer"


def summary(request: "Request") -> str:
    """The request in a line, as Temporal keeps it beside the saga: no personal data."""
    return request.about()[0]


def standing(progress: "Progress | Recorded", agent: str | None = None) -> str:
    """The progress or the end of a saga, which `agent` asked for if it is known, and the next
    command, in one line."""
    saga_id = progress.saga_id
    if progress.result is not None:
        return ending(saga_id, progress.result, progress.state, agent)
    if progress.state == "paused":
        from workflows.contract.waits import paused_words

        return paused_words(saga_id, progress.waits[0])
    if progress.state == "orphaned":
        wait = progress.waits[0]
        return f"{saga_id} is orphaned ({wait.why}): {', or '.join(wait.commands)}"
    if progress.waits_for == "approval":
        return f"{saga_id} waits for approval: amends approve {saga_id}, or amends reject {saga_id}"
    if progress.waits_for == "capture":
        captured = getattr(progress, "captured_minor", None)
        left = getattr(progress, "left_minor", None)
        some = f" ({captured} minor units are captured, {left} left)" if captured else ""
        return f"{saga_id} waits for capture{some}: amends capture {saga_id}"
    if told := _operator_action(progress):
        return told
    # Of one that is being undone, the decision is the one that does not hold any more.
    holds = progress.decision and progress.state != "compensating"
    decided = f"{progress.decision}, " if holds else ""
    return f"{saga_id}: {decided}{progress.state}"


def _operator_action(progress: "Progress | Recorded") -> str | None:
    """The line for a step that needs an operator, is in doubt, or can't be undone; None where there
    is none."""
    steps = {step.state: step for step in reversed(progress.steps)}
    if step := steps.get("needs_attention"):
        others = progress.waits_for.count(", ")
        more = f" (so do {others} more steps)" if others else ""
        why = f"{step.name} needs an operator{more}: {step.detail}"
        return f"{progress.saga_id}: {why}: {_commands(progress, step)}"
    if step := steps.get("resolving"):
        why = f"the outcome of {step.name} is in doubt ({step.detail})"
        return f"{progress.saga_id}: {why}: amends saga {progress.saga_id} follows it"
    again = next((each for each in progress.steps if each.state == "undoing" and each.verbs), None)
    if again is None or not progress.waits_for:
        return None
    why = f"the undo of {again.name} had no success in {again.tries} tries ({again.detail})"
    return f"{progress.saga_id}: {why}: {_commands(progress, again)}"


def _commands(progress: "Progress | Recorded", step: "StepProgress") -> str:
    from workflows.contract.waits import action_commands

    return ", or ".join(action_commands(progress.saga_id, step.name, step.verbs))


def notes(progress: "Progress") -> list[str]:
    """The notes of a saga's result for people, a sentence each."""
    result = progress.result or {}
    found = result.get("notes")
    told = [str(note) for note in found] if isinstance(found, list) else []
    return [*told, UNSIGNED] if result.get("unsigned") else told


def ending(
    saga_id: str, result: Mapping[str, object], otherwise: str, agent: str | None = None
) -> str:
    """The end of a saga with this result, and the next command, in one line; of a result without a
    state, that of the saga is `otherwise`."""
    state, reason = result.get("state"), result.get("reason")
    words = [ended_as(result, otherwise)]
    if reference := result.get("provider_reference"):
        words.append(f"as {reference}")
    if changes := changes_in(result):
        done = (f"{change['action']} {change['name']}" for change in changes)
        words.append(f"({', '.join(done)})")
    residuals = result.get("residuals")
    if isinstance(residuals, list) and residuals:
        words.append(f"- left over: {'; '.join(map(str, residuals))}")
    after = advice_on(reason, saga_id, agent) or (
        "the spend is released"
        if saga_id.startswith("payment/") and str(state) in _RELEASED
        else None
    )
    return f"{saga_id}: {' '.join(words)}" + (f": {after}" if after else "")
