"""Runs steps that follow each other as one commit, as far as that is possible."""

from functools import cache
from typing import Any, NamedTuple, get_type_hints

from pydantic import TypeAdapter

from activities.step import Claim, Request
from activities.together import AdjacentStep


class Step(NamedTuple):
    """A step that only touches our database: see `Saga.step`."""

    name: str
    activity: Any
    request: Request
    undo: Any = None
    by: str | None = None

    def beside(self, claim: Claim) -> AdjacentStep:
        """The step as a part of the activity that carries out several."""
        return AdjacentStep(
            claim=claim,
            activity=self.activity.__name__,
            request=self.request.model_dump(mode="json"),
        )

    def answer(self, value: Any) -> Any:
        """The answer of the step's own activity, from its JSON."""
        return _answers(self.activity).validate_python(value)


@cache
def _answers(activity: Any) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(activity)["return"])
