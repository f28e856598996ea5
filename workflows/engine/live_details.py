"""The page of a saga in the Temporal Web UI, in Markdown: what it is, how it stands, who must act
and how, its steps.

The Web UI of the dev server draws a table without space between its cells, a dash for `--` outside
of code, and HTML as HTML. So the page has no table, what is typed is code, and other words are
escaped. No personal data.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ledger.words import code, escaped, said, without_accounts
from workflows.contract.admission import SagaRequest
from workflows.contract.progress import Progress
from workflows.contract.reasons import REASONS, in_words
from workflows.contract.waits import ANY_USER, StepProgress, Wait
from workflows.engine.decisions import SYSTEM

# A request may name 200 resources, and each of them is a step as well.
_MOST_LINES = 50

_MARKS: Mapping[str, str] = {
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


def page(
    progress: Progress, asked: Sequence[str], cause: str = "", planned: Sequence[str] = ()
) -> str:
    """The live details. `asked` is the request in lines, `cause` why the saga is compensated,
    `planned` the operations of a change, which say more than the request."""
    first, *more = asked or [progress.kind]
    head = f"**{escaped(first)}** ({code(progress.saga_id)})"
    parts = [head, _standing(progress, cause), *_few([_wait(each) for each in progress.waits])]
    heading, lines = ("Plan:", planned) if planned else ("Asked for:", more)
    if lines:
        parts.append("\n".join([heading, "", *_few([f"- {escaped(line)}" for line in lines])]))
    if progress.steps:
        steps = [f"{number}. {_step(step)}" for number, step in enumerate(progress.steps, 1)]
        parts.append("\n".join(["Steps:", "", *steps]))
    return "\n\n".join(parts)


def refusal_page(progress: Progress) -> str:
    """The live details of a run that is refused, because the operation id is that of another
    request: they show the saga of that id as it is on record, and not the request."""
    saga_id = progress.saga_id
    parts = [
        f"**refused**: another request under a used operation id; {code(saga_id)} is untouched, "
        f"see {code(f'amends saga {saga_id}')}"
    ]
    if progress.result is not None:
        end = _end(progress.state, progress.result, "")
        parts += ["this run did nothing, and shows what is on record", end]
    return "\n\n".join(parts)


def about(request: SagaRequest) -> list[str]:
    """What a request asks for, in lines; nothing where it can't tell, as one that another version
    admitted may not: no saga stands still for its page."""
    try:
        return request.about()
    except Exception:  # noqa: BLE001 - whatever it is, it would fail the workflow task for ever
        return []


def cause_in_words(cause: str, reason: str | None, actor: str) -> str:
    """Why a saga is compensated: the word of the contract, and in words who wanted it and why."""
    by = f" by {actor}" if actor != SYSTEM else ""
    words = REASONS.get(cause, "") + by + (f": {reason}" if reason else "")
    return f"{words.removeprefix(': ')} ({cause})" if words else cause


def _standing(progress: Progress, cause: str) -> str:
    """How the saga stands or ended."""
    if progress.result is not None:
        repeat = "a **repeat**: this run did nothing, and shows what is on record\n\n"
        end = _end(progress.state, progress.result, cause)
        return repeat + end if progress.repeated else end
    attention = progress.state == "needs_attention"
    state = "**needs attention**" if attention else f"**{progress.state}**"
    why = cause or (progress.decision or "").replace("_", " ")
    return state + (f": {said(why)}" if why else "")


def _wait(wait: Wait) -> str:
    """What the saga waits for, on whom, since when and until when, why, and the next commands."""
    what = f"**{escaped(wait.waits_for)}**"
    what = f"the undo of {what}" if wait.undoing else what
    whom = "any user" if wait.whom == ANY_USER else code(wait.whom)
    if wait.takes_any_user and wait.whom != ANY_USER:
        whom += " or any user"
    since = f" since {_time(wait.since)}" if wait.since else ""
    until = f" until {_time(wait.until)}" if wait.until else ""
    why = f": {said(wait.why)}" if wait.why else ""
    match wait.state:
        case "running":
            head = f"🙋 waits for {what} by {whom}{since}{until}"
        case "resolving":
            head = f"🔎 {what} is in doubt and looked up{since}"
            why += f"; an operator is asked at {_time(wait.until)}" if wait.until else ""
        case "compensating":
            head = f"↩️ {what} has had no success in {wait.tries} tries{since}"
        case _:
            head = f"🙋 {what} needs an operator{since}"
    return "\n".join([head + why, "", *(f"- {code(command)}" for command in wait.commands)])


def _time(moment: datetime) -> str:
    """A time for people, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _end(state: str, result: Mapping[str, Any], cause: str) -> str:
    """How the saga ended, why, and what is left of it."""
    end, reason = str(result.get("state") or state), result.get("reason")
    head = f"**{state}**" + (f", ended as **{escaped(end)}**" if end != state else "")
    why = cause or (in_words(str(reason)) if reason and reason != end else "")
    # The note of a change that was undone is the reason, which the cause tells.
    notes = [str(note) for note in result.get("notes") or [] if str(note) not in why]
    lines = [f"- {said(note)}" for note in notes]
    if reference := result.get("provider_reference"):
        lines.append(f"- reference of the provider: {code(without_accounts(str(reference)))}")
    lines += [f"- left over: {said(str(each))}" for each in result.get("residuals") or []]
    return "\n".join([head + (f": {said(why)}" if why else ""), "", *_few(lines)]).rstrip()


def _step(step: StepProgress) -> str:
    """A step: its name, its state, its attempts if more than one, and its detail."""
    tries = [f"{step.tries} tries"] if step.tries > 1 else []
    state = ", ".join([_MARKS[step.state], *tries])
    return f"**{escaped(step.name)}** {state}" + (f": {said(step.detail)}" if step.detail else "")


def _few(lines: list[str]) -> list[str]:
    left_out = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"- and {left_out} more"] if left_out > 0 else lines
