"""Words sagas for people: the request and the progress, each in one line."""

import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal

from iso4217 import Currency

from ledger.aggregates.money import Money
from starter.client.advice import advice_on
from starter.client.kinds import Request
from workflows.contract.agent import AgentRequest, PolicyRequest
from workflows.contract.change import ChangeRequest, RollbackRequest
from workflows.contract.payment import PaymentRequest
from workflows.contract.progress import UNPAUSE, Progress
from workflows.contract.runs import PAUSED, RunStatus, what_to_do

# Ends of payments in which a person decided, so that nothing is left to do.
_RELEASED = frozenset({"rejected", "voided", "expired"})
# Temporal refuses details of more than 20,000 bytes.
_MOST_LINES = 100
_ASKED_BEFORE = (
    "the request was submitted before: this is its first answer, and nothing was done now"
)


def money_text(money: Money) -> str:
    """An amount for people: `45,000.00 ARS`."""
    return amount_text(money.minor, money.currency)


def amount_text(minor: int, currency: str) -> str:
    """Minor units for people, with the currency's own count of decimals."""
    decimals = Currency(currency).exponent or 0
    return f"{Decimal(minor).scaleb(-decimals):,.{decimals}f} {currency}"


def summary(request: Request) -> str:
    """The request as the Web UI's list shows it. No personal data: Temporal keeps it."""
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


def scheduled(request: Request, *, public: bool = False) -> str:
    """The request as a schedule shows it. `public`: as the note of a schedule, which Temporal keeps
    in plain text also under a codec, so without amounts and reasons."""
    match request:
        case PaymentRequest():
            what = "A payment" if public else f"Pay {money_text(request.amount)}"
        case PolicyRequest() if public:
            what = f"policy of {request.agent_id}"
        case ChangeRequest():
            what = f"Apply {summary(request)}"
        case RollbackRequest():
            only = f" ({', '.join(request.resources)})" if request.resources else ""
            what = f"Bring {summary(request)}{only}"
        case _:
            what = summary(request)
    reason = None if public or isinstance(request, PaymentRequest) else request.reason
    return f"{what}, asked by {request.actor}{f': {reason}' if reason else ''}"


def details(request: Request) -> str:
    """The request in a few lines of Markdown for the Web UI. No personal data."""
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


def short(aggregate: str, saga_id: str | None = None) -> str:
    """The name of an aggregate for people: a long id is cut, and a step of the saga `saga_id` goes
    by its own name."""
    if saga_id and aggregate.startswith(f"step/{saga_id}/"):
        return f"step {aggregate.removeprefix(f'step/{saga_id}/')}"
    aggregate_type, _, rest = aggregate.partition("/")
    if aggregate_type == "step":
        saga, _, name = rest.rpartition("/")
        return f"step {name} of {saga}"
    return (
        f"{aggregate_type}/{rest[:8]}…"
        if aggregate_type in ("authorization", "transfer")
        else aggregate
    )


def standing(progress: Progress) -> str:
    """The progress or the end of a saga, and the next command, in one line."""
    saga_id = progress.saga_id
    if progress.result is not None:
        return f"{saga_id}: {_ending(progress.result)}"
    if progress.waits_for == UNPAUSE:
        return what_to_do(saga_id, RunStatus(PAUSED, is_closed=False))
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
        return f"{progress.saga_id}: {why}: {commands(progress.saga_id, step.name, step.verbs)}"
    if step := steps.get("resolving"):
        why = f"the outcome of {step.name} is in doubt ({step.detail})"
        return f"{progress.saga_id}: {why}: amends saga {progress.saga_id} follows it"
    again = next((each for each in progress.steps if each.state == "undoing" and each.verbs), None)
    if again is None or not progress.waits_for:
        return None
    why = f"the undo of {again.name} had no success in {again.tries} tries ({again.detail})"
    return f"{progress.saga_id}: {why}: {commands(progress.saga_id, again.name, again.verbs)}"


def commands(saga_id: str, step: str, verbs: Sequence[str]) -> str:
    """The commands of the operator actions on a step, in a line."""
    of = f"{saga_id} {shlex.quote(step)}"
    outcome = "" if "skip" in verbs else " --outcome done|failed"
    said = {
        "retry": f"amends retry {of}",
        "skip": f"amends skip {of} --reason TEXT",
        "resolve": f"amends resolve {of} --evidence TEXT{outcome}",
    }
    return ", or ".join(said[verb] for verb in verbs)


def notes(progress: Progress) -> list[str]:
    """The notes of a saga's result for people, a sentence each."""
    found = (progress.result or {}).get("notes")
    said = [str(note) for note in found] if isinstance(found, list) else []
    return [_ASKED_BEFORE, *said] if progress.repeated else said


def _ending(result: Mapping[str, object]) -> str:
    state, reason = str(result.get("state")), result.get("reason")
    words = [state]
    if reason and reason != state:
        words.append(f"({reason})")
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
