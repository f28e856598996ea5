"""Admission: turns JSON into our models, and fails bad input at once, with field and reason.

Left alone the SDK retries the workflow task for ever when an argument is missing or does not
decode, and prints the value of what is wrong: it may be an account number.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self, TypeVar

import pydantic
import pydantic_core
from pydantic import JsonValue
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter, DefaultFailureConverter, PayloadConverter

from activities.errors import invalid_input, problems_of

# Far above any sensible request, and so far below the limit of a message of the server that what
# is made of it (a plan, a result, a failure) fits as well.
MAX_INPUT_BYTES = 131_072

Model = TypeVar("Model", bound=pydantic.BaseModel)


class SagaRequest(Protocol):
    """The fields that every request has: who asks, and the caller's context (ip, session)."""

    @property
    def operation_id(self) -> str | None:
        """The id that makes the request one saga."""

    @property
    def actor(self) -> str:
        """The actor that asks."""

    @property
    def metadata(self) -> dict[str, JsonValue]:
        """The context of the caller."""

    def about(self) -> list[str]:
        """What is asked for, in lines for people, without personal data: Temporal keeps and shows
        them. The first line alone says what it is."""

    def fingerprint(self) -> str:
        """The digest that tells two requests apart."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """The request as JSON."""

    def model_copy(self, *, update: dict[str, Any]) -> Self:
        """The request with other fields."""


class AdmissionConverter(PydanticPayloadConverter):
    """JSON converter by pydantic; input that does not decode is InvalidInput, without its value."""

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """Decode the arguments. Raises `InvalidInput` without their values; arguments that `admit`
        looks at are left to it, since a handler can put its refusal into the history."""
        try:
            return super().from_payloads(payloads, type_hints)
        except Exception as error:  # noqa: BLE001 - whatever the decoder says, it may quote the value
            if type_hints is None and workflow.in_workflow():
                return [UNREADABLE]
            if isinstance(error, pydantic.ValidationError):
                raise invalid_input(problems_of(error)) from None
            raise invalid_input(_NOT_JSON) from None


class PublicFailures(DefaultFailureConverter):
    """Leaves the cause and the traceback out of a failure that is an answer, and not a defect: they
    say how we work, and other SDKs can't read a local activity's."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Encode an error as the SDK does, an answer without its cause and its traceback."""
        super().to_failure(exception, payload_converter, failure)
        if failure.application_failure_info.non_retryable:
            failure.ClearField("cause")
            failure.ClearField("stack_trace")


DATA_CONVERTER = DataConverter(
    payload_converter_class=AdmissionConverter, failure_converter_class=PublicFailures
)
# In place of arguments that are not JSON.
UNREADABLE = object()
_NOT_JSON = [("input", "not readable as JSON")]


def admit(raw: tuple[Any, ...], model: type[Model]) -> Model:
    """Validate the one argument as a `model`. Raises ApplicationError `InvalidInput`."""
    if len(raw) != 1:
        raise invalid_input([("input", f"one JSON object is needed, not {len(raw)} arguments")])
    if raw[0] is UNREADABLE:
        raise invalid_input(_NOT_JSON)
    if not isinstance(raw[0], dict):
        raise invalid_input([("input", "a JSON object is needed")])
    text = pydantic_core.to_json(raw[0], inf_nan_mode="constants")
    if len(text) > MAX_INPUT_BYTES:
        raise invalid_input(
            [("input", f"{len(text)} bytes are too many: at most {MAX_INPUT_BYTES}")]
        )
    try:
        return model.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise invalid_input(problems_of(error)) from None
