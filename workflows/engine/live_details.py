"""The page of a saga in the Temporal Web UI, in Markdown: what it is, how it stands, who must act
and how, its steps.

The Web UI of the dev server draws a table without space between its cells, a dash for `--` outside
of code, and HTML as HTML. So the page has no table, what is typed is code, and other words are
escaped. No personal data.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from workflows.contract.progress import Progress, StepProgress
from workflows.contract.reasons import REASONS, in_words
from workflows.engine.decisions import SYSTEM

# A request may name 200 resources, and each of them is a step as well.
_MOST_LINES = 50

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


def page(progress: Progress, about: Sequence[str], cause: str = "") -> str:
    """The live details. `about` is the request in lines, `cause` why the saga is compensated."""
    first, *more = about
    head = f"**{escaped(first)}** ({code(progress.saga_id)})"
    parts = [head, _standing(progress, cause)]
    if more:
        parts.append("\n".join(["Asked for:", "", *_few([f"- {escaped(line)}" for line in more])]))
    if progress.steps:
        steps = [f"{number}. {_step(step)}" for number, step in enumerate(progress.steps, 1)]
        parts.append("\n".join(["Steps:", "", *steps]))
    return "\n\n".join(parts)


def cause_in_words(cause: str, reason: str | None, actor: str) -> str:
    """Why a saga is compensated: the word of the contract, and in words who wanted it and why."""
    by = f" by {actor}" if actor != SYSTEM else ""
    words = REASONS.get(cause, "") + by + (f": {reason}" if reason else "")
    return f"{words.removeprefix(': ')} ({cause})" if words else cause


def _standing(progress: Progress, cause: str) -> str:
    """How the saga stands or ended."""
    if progress.result is not None:
        return _end(progress.state, progress.result, cause)
    if progress.waits_for:
        return f"**{progress.state}**, waits for **{escaped(progress.waits_for)}**"
    why = cause or progress.decision or ""
    return f"**{progress.state}**" + (f": {escaped(why)}" if why else "")


def _end(state: str, result: Mapping[str, Any], cause: str) -> str:
    """How the saga ended, why, and what is left of it."""
    end, reason = str(result.get("state") or state), result.get("reason")
    head = f"**{state}**" + (f", ended as **{escaped(end)}**" if end != state else "")
    why = cause or (in_words(str(reason)) if reason and reason != end else "")
    lines = [f"- {escaped(str(note))}" for note in result.get("notes") or []]
    if reference := result.get("provider_reference"):
        lines.append(f"- the bank's reference is {code(str(reference))}")
    lines += [f"- left over: {escaped(str(each))}" for each in result.get("residuals") or []]
    return "\n".join([head + (f": {escaped(why)}" if why else ""), "", *_few(lines)]).rstrip()


def _step(step: StepProgress) -> str:
    """A step: its name, its state, its attempts if more than one, and its detail."""
    tries = [f"{step.tries} tries"] if step.tries > 1 else []
    said = ", ".join([_MARKS[step.state], *tries])
    return f"**{escaped(step.name)}** {said}" + (f": {escaped(step.detail)}" if step.detail else "")


def _few(lines: list[str]) -> list[str]:
    left_out = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"- and {left_out} more"] if left_out > 0 else lines


def code(text: str) -> str:
    """What a person copies or types: shown as it is."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def escaped(text: str) -> str:
    """Words that may be anybody's, in one line, so that no part of them is taken for Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|~$&#^])", r"\\\1", " ".join(text.split()))
