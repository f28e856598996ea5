"""The arguments of the updates that people and agents send to a saga."""

from typing import Annotated, Literal

from pydantic import Field

from workflows.contract.fields import Actor, Line, Signable, StepText


class By(Signable):
    """Argument of the updates `approve`, `reject`, `capture`, `cancel`: who, and why."""

    actor: Actor
    reason: Line | None = None


class Approval(By):
    """Argument of the update `approve`. `binding` is the digest of what the person saw: an approval
    of anything else is refused."""

    binding: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


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
