"""Translates the refusal of admission into fields and reasons, without the values."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError
from temporalio.exceptions import ApplicationError

from starter.client.errors import InvalidInput
from starter.client.failures import invalid_input
from workflows.contract.admission import admit, read

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
        return read((fields,), model) if repeated else admit((fields,), model)
    except ApplicationError as error:
        raise invalid_input(error.details) from None
    except PydanticSerializationError:
        raise InvalidInput("input", "holds half a character: write it out in UTF-8") from None
