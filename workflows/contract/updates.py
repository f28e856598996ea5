"""The arguments of the updates that people and agents send to a saga."""

from typing import Annotated, Literal

from pydantic import Field, StrictInt

from ledger.aggregates.money import MAX_MINOR
from workflows.contract.fields import Actor, Line, Signable, StepText

# An amount of the payment, in its currency; left out where it is all of it.
AmountMinor = Annotated[
    Annotated[StrictInt, Field(gt=0, le=MAX_MINOR)] | None,
    Field(exclude_if=lambda minor: minor is None),
]


class By(Signable):
    """Argument of the updates `reject`, `void`, `cancel`: who, and why."""

    actor: Actor
    reason: Line | None = None


class Approval(By):
    """Argument of the update `approve`. `binding` is the digest of what the person saw: an approval
    of anything else is refused. `amount_minor`: a smaller amount is approved, and the rest is
    released."""

    binding: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    amount_minor: AmountMinor = None


class Capture(By):
    """Argument of the update `capture`: all that is left, or `amount_minor` of it. `final`: what is
    left after that is released. A signed document captures one part: `update_id` makes two of the
    same amount different."""

    amount_minor: AmountMinor = None
    final: Annotated[bool, Field(exclude_if=lambda final: not final)] = False
    update_id: Annotated[Line | None, Field(exclude_if=lambda named: named is None)] = None


class OperatorAction(By):
    """Argument of the update `retry`: the step that waits for an operator shall be tried again."""

    step: StepText


class Skip(OperatorAction):
    """Argument of the update `skip`: the undo of the step is given up, for this reason."""

    reason: StepText


class Resolve(OperatorAction):
    """Argument of the update `resolve`: the outcome of the step, and the evidence for it (a
    reference of the provider, a ticket). `outcome` of an undo is `undone`, which may be left
    out."""

    evidence: StepText
    outcome: Literal["done", "failed", "undone"] | None = None
