"""From pydantic's errors to a field and a reason, without the value."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from starter.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], fields: Mapping[str, Any] | Any) -> Model:
    """The model of these fields. Raises InvalidInput with all that is wrong."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid_input(error) from None


def invalid_input(error: ValidationError) -> InvalidInput:
    """Field and reason of each of pydantic's errors; its own text would print the value."""
    # The value may be an account number: it must not reach a terminal or a log.
    details = error.errors(include_url=False, include_context=False, include_input=False)
    (field, reason), *others = [
        (field_path(detail["loc"]), detail["msg"].removeprefix("Value error, "))
        for detail in details
    ]
    return InvalidInput(field, reason, *others)


def field_path(location: tuple[int | str, ...]) -> str:
    """`("present", 1, "spec")` as a person reads it: `present[1].spec`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")
