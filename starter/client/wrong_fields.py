"""From the border's refusal to a field and a reason, without the value."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError
from temporalio.exceptions import ApplicationError

from starter.client.errors import InvalidInput
from starter.client.failures import invalid_input
from workflows.contract.admission import admit

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], fields: Mapping[str, Any] | Any) -> Model:
    """The model of these fields, as the saga would read it. Raises InvalidInput with all that is
    wrong, in the words of the saga."""
    try:
        return admit((fields,), model)
    except ApplicationError as error:
        raise invalid_input(error.details) from None
    except PydanticSerializationError:
        raise InvalidInput("input", "holds half a character: write it out in UTF-8") from None
