"""The page of a saga in the Temporal Web UI: Markdown, no personal data."""

from workflows.contract.progress import Progress, StepProgress

_MARKS = {
    "running": "⏳ running",
    "unknown": "❔ unknown",
    "resolving": "🔎 resolving",
    "needs_attention": "🙋 needs attention",
    "done": "✅ done",
    "refused": "⛔ refused",
    "failed": "❌ failed",
    "undoing": "↩️ undoing",
    "undone": "↩️ undone",
    "skipped": "⚠️ undo skipped",
}


def page(progress: Progress) -> str:
    """The live details: the state of the saga, and a table of its steps."""
    head = f"**{progress.saga_id}** is **{progress.state}**"
    if progress.waits_for:
        head += f", waits for **{progress.waits_for}**"
    if progress.decision:
        head += f"; decision: {progress.decision}"
    if progress.reason:
        head += f"; reason: {progress.reason}"
    rows = [
        f"| {number} | {step.name} | {_MARKS[step.state]} | {_words(step)} |"
        for number, step in enumerate(progress.steps, 1)
    ]
    return "\n".join([head, "", "| # | step | state | |", "|---|---|---|---|", *rows])


def _words(step: StepProgress) -> str:
    """The attempts of a step if more than one, its detail, and the operator actions that it
    takes."""
    tries = [f"{step.tries} tries"] if step.tries > 1 else []
    verbs = [f"takes {', '.join(step.verbs)}"] if step.verbs else []
    words = "; ".join([*tries, *([step.detail] if step.detail else []), *verbs])
    # People's own words may hold what ends a cell.
    return words.replace("|", "\\|")
