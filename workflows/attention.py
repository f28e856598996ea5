"""Where a saga can't get on alone: it asks a person, and waits for what the person says."""

from dataclasses import dataclass, field

from temporalio import workflow

from workflows.inbox import Asked, not_allowed


@dataclass
class Attention:
    """A step that waits for a person: `undoing` it, or because nobody can tell its outcome."""

    step: str
    undoing: bool
    # What is undone by our own database can't be said to be undone by hand.
    outside: bool
    asked: Asked | None = None

    def verbs(self) -> list[str]:
        """What the person may say."""
        resolve = ["resolve"] if self.outside else []
        return ["retry", *(["skip"] if self.undoing else []), *resolve]


@dataclass
class Waiting:
    """The steps of one saga that wait for a person, by name."""

    by_step: dict[str, Attention] = field(default_factory=dict)

    async def ask(self, attention: Attention) -> Asked:
        """What a person says of the step. The caller answers him when that is on record."""
        self.by_step[attention.step] = attention
        try:
            await workflow.wait_condition(lambda: attention.asked is not None)
        finally:
            del self.by_step[attention.step]
        assert attention.asked is not None
        return attention.asked

    def close(self, why: str) -> None:
        """Nobody looks any more: refuse what has no answer."""
        for attention in self.by_step.values():
            if attention.asked is not None and not attention.asked.answered:
                attention.asked.answer(not_allowed(f"can't {attention.asked.verb}: {why}"))

    def check(self, verb: str, step: str, outcome: str | None) -> None:
        """Raises ApplicationError `not_allowed` for what the step does not wait for."""
        attention = self.by_step.get(step)
        if attention is None:
            waiting = ", ".join(self.by_step) or "no step does"
            raise not_allowed(f"can't {verb} {step}: it does not wait for a person ({waiting})")
        if attention.asked is not None:
            raise not_allowed(f"can't {verb} {step}: somebody else has just decided")
        if verb not in attention.verbs():
            raise not_allowed(f"can't {verb} {step}: it takes {' or '.join(attention.verbs())}")
        if verb == "resolve" and attention.undoing != (outcome in (None, "undone")):
            may = "undone" if attention.undoing else "done or failed"
            raise not_allowed(f"can't resolve {step} as {outcome}: its outcome may be {may}")

    def say(self, asked: Asked, step: str) -> None:
        """Hand over what a person says; `check` has allowed it."""
        self.check(asked.verb, step, asked.outcome)
        self.by_step[step].asked = asked
