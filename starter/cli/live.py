"""Shows a saga on a terminal: a table of its steps that changes while it runs."""

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ledger.words import plain
from workflows.contract.progress import Progress
from workflows.contract.waits import StepProgress

_STYLES = {
    "running": "cyan",
    "unknown": "magenta",
    "resolving": "magenta",
    "needs_attention": "bold red",
    "done": "green",
    "refused": "red",
    "failed": "red",
    "undoing": "yellow",
    "undone": "yellow",
    "skipped": "red",
}
_MARKS = {
    "done": "✔",
    "refused": "✘",
    "failed": "✘",
    "undone": "↩",
    "skipped": "⚠",
    "needs_attention": "!",
    "unknown": "?",
}
# These go on by themselves.
_TURNING = ("running", "resolving", "undoing")


class LiveTable:
    """Draws the steps anew at each `tell`; the last drawing stays."""

    def __init__(self) -> None:
        self._live = Live(console=Console(), refresh_per_second=12)
        # One spinner for each step, or it would jump back to its first frame at each change.
        self._spinners: dict[str, Spinner] = {}

    def __enter__(self) -> "LiveTable":
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def tell(self, progress: Progress) -> None:
        """Show the steps as they are now."""
        self._live.update(self._drawn(progress), refresh=True)

    def _drawn(self, progress: Progress) -> RenderableType:
        steps = Table.grid(padding=(0, 1))
        for step in progress.steps:
            tries = f"{step.tries} tries; " if step.tries > 1 else ""
            detail = Text(plain(tries + (step.detail or "")), style="dim")
            name = Text(plain(step.name))
            steps.add_row(self._mark(step), name, self._state(step), detail)
        head = Text.assemble((plain(progress.saga_id), "bold"), f"  {progress.state}")
        if progress.waits_for:
            head.append(f", waits for {plain(progress.waits_for)}", style="yellow")
        return Group(head, steps)

    def _state(self, step: StepProgress) -> Text:
        return Text(step.state, style=_STYLES[step.state])

    def _mark(self, step: StepProgress) -> RenderableType:
        if step.state in _TURNING:
            return self._spinners.setdefault(step.name, Spinner("dots"))
        return Text(_MARKS[step.state], style=_STYLES[step.state])
