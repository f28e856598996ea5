"""Words sagas for people: the request and the progress, each in one line."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starter.client.advice import advice_on
from starter.client.amounts import amount_text
from starter.client.endings import ended_as
from workflows.contract.progress import Progress, StepProgress, action_commands

if TYPE_CHECKING:
    from ledger.aggregates.money import Money
    from starter.client.kinds import Request

# Ends of payments in which a person decided, so that nothing is left to do.
_RELEASED = frozenset({"rejected", "voided", "expired"})
# Temporal refuses details of more than 20,000 bytes.
_MOST_LINES = 100
_ASKED_BEFORE = (
    "the request was submitted before: this is its first answer, and nothing was done now"
)


def money_text(money: "Money") -> str:
    """An amount for people: `45,000.00 ARS`."""
    return amount_text(money.minor, money.currency)


def summary(request: "Request") -> str:
    """The request as the Web UI's list shows it. No personal data: Temporal keeps it."""
    from workflows.contract.agent import AgentRequest, PolicyRequest
    from workflows.contract.change import ChangeRequest, RollbackRequest
    from workflows.contract.payment import PaymentRequest

    match request:
        case PaymentRequest():
            return f"{money_text(request.amount)} for {request.agent_id}"
        case AgentRequest():
            return f"{request.action} agent {request.agent_id}"
        case PolicyRequest():
            limit = amount_text(request.max_per_transaction_minor, request.currency)
            return f"policy of {request.agent_id}: at most {limit} at once"
        case ChangeRequest():
            counts = f"{len(request.present)} present, {len(request.absent)} absent"
            return f"{counts} in {request.environment}"
        case RollbackRequest():
            return f"{request.environment} back to {request.to}"


def details(request: "Request") -> str:
    """The request in a few lines of Markdown for the Web UI. No personal data."""
    from workflows.contract.agent import AgentRequest, PolicyRequest
    from workflows.contract.change import ChangeRequest, RollbackRequest
    from workflows.contract.payment import PaymentRequest

    match request:
        case PaymentRequest():
            lines = [f"capture: {request.capture}"]
        case PolicyRequest():
            daily = amount_text(request.daily_limit_minor, request.currency)
            threshold = amount_text(request.approval_threshold_minor, request.currency)
            lines = [f"daily limit: {daily}", f"a person approves above: {threshold}"]
        case ChangeRequest():
            present = [f"`{item.name}` ({item.kind}) present" for item in request.present]
            lines = [*present, *(f"`{name}` absent" for name in request.absent)]
        case RollbackRequest():
            lines = [f"only `{name}`" for name in request.resources or []]
        case AgentRequest():
            lines = []
    operation = f"operation `{request.operation_id}`" if request.operation_id else summary(request)
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"and {len(lines) - _MOST_LINES} more"]
    return "\n".join([operation, *(f"- {line}" for line in lines)])


def standing(progress: Progress) -> str:
    """The progress or the end of a saga, and the next command, in one line."""
    saga_id = progress.saga_id
    if progress.result is not None:
        return f"{saga_id}: {_ending(progress.result, progress.state)}"
    if progress.state in ("orphaned", "paused"):
        wait = progress.waits[0]
        return f"{saga_id} is {progress.state} ({wait.why}): {', or '.join(wait.commands)}"
    if progress.waits_for == "approval":
        return f"{saga_id} waits for approval: amends approve {saga_id}, or amends reject {saga_id}"
    if progress.waits_for == "capture":
        return f"{saga_id} waits for capture: amends capture {saga_id}"
    if told := _operator_action(progress):
        return told
    # Of one that is being undone, the decision is the one that does not hold any more.
    holds = progress.decision and progress.state != "compensating"
    decided = f"{progress.decision}, " if holds else ""
    return f"{saga_id}: {decided}{progress.state}"


def _operator_action(progress: Progress) -> str | None:
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


def _commands(progress: Progress, step: StepProgress) -> str:
    return ", or ".join(action_commands(progress.saga_id, step.name, step.verbs))


def notes(progress: Progress) -> list[str]:
    """The notes of a saga's result for people, a sentence each."""
    found = (progress.result or {}).get("notes")
    said = [str(note) for note in found] if isinstance(found, list) else []
    return [_ASKED_BEFORE, *said] if progress.repeated else said


def _ending(result: Mapping[str, object], otherwise: str) -> str:
    state, reason = result.get("state"), result.get("reason")
    words = [ended_as(result, otherwise)]
    if reference := result.get("provider_reference"):
        words.append(f"as {reference}")
    changes = result.get("changes")
    if isinstance(changes, list) and changes:
        done = (f"{change['action']} {change['name']}" for change in changes)
        words.append(f"({', '.join(done)})")
    residuals = result.get("residuals")
    if isinstance(residuals, list) and residuals:
        words.append(f"- left over: {'; '.join(map(str, residuals))}")
    after = advice_on(reason) or ("the spend is released" if state in _RELEASED else None)
    return " ".join(words) + (f": {after}" if after else "")
