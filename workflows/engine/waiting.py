"""Where a saga can't get on alone: it asks a person, and waits for what the person says."""

from datetime import timedelta

from temporalio import workflow

from workflows.contract.updates import Verb
from workflows.engine.decisions import Asked, Attention, not_allowed


class Waiting:
    """The steps of one saga on which a person may decide, by name, and what persons said."""

    def __init__(self) -> None:
        self.by_step: dict[str, Attention] = {}
        self.said: list[Asked] = []

    async def ask(self, attention: Attention, within: timedelta | None = None) -> Asked | None:
        """What a person says of the step; None when nobody did `within` that time. The caller
        answers him when that is on record."""
        self.by_step[attention.step] = attention
        try:
            await workflow.wait_condition(
                lambda: attention.asked is not None,
                timeout=within,
                timeout_summary=f"try {attention.step} again",
            )
        except TimeoutError:
            pass
        finally:
            del self.by_step[attention.step]
        return attention.asked

    def close(self, why: str) -> None:
        """Nobody looks any more: refuse what has no answer."""
        for asked in self.said:
            if not asked.answered:
                asked.answer(not_allowed(f"can't {asked.verb}: {why}"))
        self.said.clear()

    def check(self, verb: Verb, step: str, outcome: str | None) -> None:
        """Raises ApplicationError `not_allowed` for what the step does not wait for."""
        attention = self.by_step.get(step)
        if attention is None:
            waiting = ", ".join(self.by_step) or "no step"
            raise not_allowed(
                f"can't {verb} {step}: it does not wait for a person ({waiting} does)"
            )
        if attention.asked is not None:
            raise not_allowed(f"can't {verb} {step}: somebody else has just decided")
        if verb not in attention.verbs():
            raise not_allowed(f"can't {verb} {step}: it takes {' or '.join(attention.verbs())}")
        if verb == "resolve" and attention.undoing != (outcome in (None, "undone")):
            may = "undone" if attention.undoing else "done or failed"
            said = f" as {outcome}" if outcome else ""
            raise not_allowed(f"can't resolve {step}{said}: its outcome may be {may}")

    def say(self, verb: Verb, asked: Asked, step: str) -> None:
        """Hand over what a person says, unless it is not allowed."""
        self.check(verb, step, asked.outcome)
        self.by_step[step].asked = asked
        self.said.append(asked)
