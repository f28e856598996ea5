"""The page that a person sees of a saga in the Temporal Web UI: Markdown, no personal data."""

from workflows.inputs import Progress

_MARKS = {
    "running": "⏳ running",
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
    """The live details: where the saga stands, and a table of its steps."""
    head = f"**{progress.saga_id}** is **{progress.state}**"
    if progress.waits_for:
        head += f", waits for **{progress.waits_for}**"
    if progress.decision:
        head += f"; decision: {progress.decision}"
    if progress.reason:
        head += f"; reason: {progress.reason}"
    rows = [
        f"| {number} | {step.name} | {_MARKS[step.state]} | {step.detail or ''} |"
        for number, step in enumerate(progress.steps, 1)
    ]
    return "\n".join([head, "", "| # | step | state | |", "|---|---|---|---|", *rows])
