"""The steps of a saga that wait for an operator, and the operator actions on them."""

from datetime import timedelta

from temporalio import workflow

from ledger.words import summary_of
from workflows.contract.waits import Verb
from workflows.engine.decisions import Asked, Attention, not_allowed


class Waiting:
    """The steps of one saga on which an operator may decide, by name, and the actions received."""

    def __init__(self) -> None:
        self.by_step: dict[str, Attention] = {}
        self.said: list[Asked] = []

    async def ask(self, attention: Attention, within: timedelta | None = None) -> Asked | None:
        """Wait for an operator action on the step; None when none came `within` that time. The
        caller answers the operator when the action is recorded."""
        self.by_step[attention.step] = attention
        try:
            await workflow.wait_condition(
                lambda: attention.asked is not None,
                timeout=within,
                timeout_summary=summary_of(f"try {attention.step} again"),
            )
        except TimeoutError:
            pass
        finally:
            del self.by_step[attention.step]
        return attention.asked

    def close(self, why: str) -> None:
        """Refuse every action without an answer, because no step waits any more."""
        for asked in self.said:
            if not asked.answered:
                asked.answer(not_allowed(f"can't {asked.verb}: {why}"))
        self.said.clear()

    def check(self, verb: Verb, step: str, outcome: str | None) -> None:
        """Raises ApplicationError `not_allowed` for an action that the step does not wait for."""
        attention = self.by_step.get(step)
        if attention is None:
            waiting = ", ".join(self.by_step) or "no step"
            # The name is the caller's text, so it is not repeated.
            raise not_allowed(
                f"can't {verb} this step: it does not wait for an operator ({waiting} does)"
            )
        if attention.asked is not None:
            raise not_allowed(f"can't {verb} {step}: another operator has just decided")
        if verb not in attention.verbs():
            raise not_allowed(f"can't {verb} {step}: it takes {' or '.join(attention.verbs())}")
        if verb == "resolve" and attention.undoing != (outcome in (None, "undone")):
            may = "undone" if attention.undoing else "done or failed"
            said = f" as {outcome}" if outcome else ""
            raise not_allowed(f"can't resolve {step}{said}: its outcome may be {may}")

    def say(self, verb: Verb, asked: Asked, step: str) -> None:
        """Hand an operator action to its step, unless it is not allowed."""
        self.check(verb, step, asked.outcome)
        self.by_step[step].asked = asked
        self.said.append(asked)
