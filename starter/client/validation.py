"""Translates the refusal of admission into fields and reasons, without the values."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from starter.client.errors import InvalidInput
from workflows.contract.validation import Invalid, admitted, recorded

Model = TypeVar("Model", bound=BaseModel)


def checked(
    model: type[Model], fields: Mapping[str, Any] | Any, *, repeated: bool = False
) -> Model:
    """Validate these fields as a model, as admission would. Raises InvalidInput with all problems,
    in the words of admission.

    `repeated`: the request may have been submitted before, by rules that have changed since. Then
    it is only read, and its saga knows.
    """
    try:
        return recorded((fields,), model) if repeated else admitted((fields,), model)
    except Invalid as error:
        (field, reason), *others = error.problems
        raise InvalidInput(field, reason, *others) from None
    except PydanticSerializationError:
        raise InvalidInput("input", "holds half a character: write it out in UTF-8") from None
