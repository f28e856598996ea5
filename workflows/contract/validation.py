"""Reads the one JSON object that a request is, as a model: by its rules, or by structure alone.

See `workflows.contract.admission`, which makes failures of Temporal of the refusals.
"""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import pydantic
import pydantic_core

from activities.problems import at_most, problems_of
from ledger import reading

# Far above any sensible request, and so far below the limit of a message of the server that what
# is made of it (a plan, a result, a failure) fits as well.
MAX_INPUT_BYTES = 131_072

Model = TypeVar("Model", bound=pydantic.BaseModel)

# In place of arguments that are not JSON.
UNREADABLE = object()
NOT_JSON: Sequence[tuple[str, str]] = [("input", "not readable as JSON")]


class Invalid(Exception):
    """The input is refused: correct it. `problems`: field and reason, no values, and not too many
    of them."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = at_most(problems)
        super().__init__("; ".join(f"{field}: {reason}" for field, reason in self.problems))


def admitted(raw: tuple[Any, ...], model: type[Model]) -> Model:
    """The one argument as a `model`, by its rules. Raises Invalid."""
    text = _text(raw)
    if len(text) > MAX_INPUT_BYTES:
        raise Invalid([("input", f"{len(text)} bytes are too many: at most {MAX_INPUT_BYTES}")])
    try:
        return model.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise Invalid(problems_of(error)) from None


def recorded(raw: tuple[Any, ...], model: type[Model]) -> Model:
    """The one argument as a `model`: by its rules, or, where they refuse it, by structure alone.
    Raises Invalid for what no version could have admitted."""
    text = _text(raw)
    try:
        return model.model_validate_json(text)
    except pydantic.ValidationError as error:
        try:
            return cast(Model, reading.read_json(model, text))
        except pydantic.ValidationError:
            raise Invalid(problems_of(error)) from None


def _text(raw: tuple[Any, ...]) -> bytes:
    if len(raw) != 1:
        raise Invalid([("input", f"one JSON object is needed, not {len(raw)} arguments")])
    if raw[0] is UNREADABLE:
        raise Invalid(NOT_JSON)
    if not isinstance(raw[0], dict):
        raise Invalid([("input", "a JSON object is needed")])
    return pydantic_core.to_json(raw[0], inf_nan_mode="constants")
