"""The decisions that people send to a saga, on their way to the story and back."""

from collections.abc import Callable
from dataclasses import dataclass, field

from temporalio.exceptions import ApplicationError

from workflows.contract.updates import By, Resolve
from workflows.contract.waits import Verb, verbs

# Who decides where no person does: a name that no request may use.
SYSTEM = "system:amends"


@dataclass
class Asked:
    """A decision of a person on its way to the story, and the answer on its way back."""

    verb: str
    by: By
    # The digest of its signature, or of the id of the update that brought it, where nobody signed:
    # whoever has no key sends it again under any id.
    update: str = ""
    answered: bool = False
    refusal: ApplicationError | None = None

    @property
    def asks_for(self) -> tuple[str, int | None]:
        """The update, and the amount where it names one."""
        return self.verb, getattr(self.by, "amount_minor", None)

    @property
    def outcome(self) -> str | None:
        """The outcome of the step that the update `resolve` names; None for other updates."""
        return self.by.outcome if isinstance(self.by, Resolve) else None

    def answer(self, refusal: ApplicationError | None = None) -> None:
        """Answer the update of this decision: agreed, or refused."""
        self.answered, self.refusal = True, refusal


@dataclass
class Inbox:
    """The decisions that people sent, and the one that the story is looking at."""

    waiting: list[Asked] = field(default_factory=list)
    taken: Asked | None = None

    def take(self) -> Asked:
        """Take the oldest decision, which the story looks at from now on."""
        self.taken = self.waiting.pop(0)
        return self.taken

    def agree(self) -> None:
        """Agree to the decision that was taken, and to every open one that asks for the same."""
        taken = self.taken.asks_for if self.taken else None
        other = "another decision came first"
        self._answer(
            lambda asked: (
                None if asked.asks_for == taken else not_allowed(f"can't {asked.verb}: {other}")
            )
        )

    def close(self, why: str) -> None:
        """Refuse every decision without an answer, because the story reads no more of them."""
        self._answer(lambda asked: not_allowed(f"can't {asked.verb}: {why}"))

    def _answer(self, refusal: Callable[[Asked], ApplicationError | None]) -> None:
        for asked in [*self.waiting, *([self.taken] if self.taken else [])]:
            if not asked.answered:
                asked.answer(refusal(asked))
        self.waiting.clear()


@dataclass
class Attention:
    """A step on which an operator may decide: on its undo (`undoing`), or on an outcome that is in
    doubt."""

    step: str
    undoing: bool
    outside: bool
    asked: Asked | None = None

    def verbs(self) -> list[Verb]:
        """The operator actions that the step takes."""
        return verbs(undoing=self.undoing, outside=self.outside)


def not_allowed(message: str) -> ApplicationError:
    """The refusal of an update that the state of the saga does not allow."""
    return ApplicationError(message, type="not_allowed", non_retryable=True)


def system(actor: str = SYSTEM, reason: str | None = None) -> By:
    """The decision of Amends itself."""
    return By.model_construct(actor=actor, reason=reason)
