"""Admission: turns JSON into our models, and fails bad input at once, with field and reason.

A model is read in two ways (docs/decisions/021). `admit` applies its rules, to what is new; `read`
goes by structure alone, and refuses nothing that any version has admitted: who asked for it gets
an answer, and a replay finds what it found before.

Left alone the SDK retries the workflow task for ever when an argument is missing or does not
decode, and prints the value of what is wrong: it may be an account number.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self

import pydantic
from pydantic import BaseModel, JsonValue
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import (
    PydanticJSONPlainPayloadConverter,
    PydanticPayloadConverter,
)
from temporalio.converter import DataConverter, DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ActivityError, ApplicationError

from activities.errors import INVALID_INPUT, invalid_input
from activities.problems import problems_of
from ledger import reading
from ledger.sagas.fingerprint import Fingerprint
from workflows.contract.validation import (
    NOT_JSON,
    UNREADABLE,
    Invalid,
    Model,
    admitted,
    recorded,
)


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

    def fingerprint(self) -> Fingerprint:
        """What tells two requests apart."""

    def by_first_defaults(self) -> Self:
        """The request as the first version read it."""

    def model_dump(self, *, mode: str, exclude: set[str]) -> dict[str, Any]:
        """The request as JSON, without these fields."""

    def model_copy(self, *, update: dict[str, Any]) -> Self:
        """The request with other fields."""


class _JsonReader(PydanticJSONPlainPayloadConverter):
    """JSON converter by pydantic, which reads what the rules of today refuse by structure alone."""

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Decode one value. Raises ValidationError."""
        try:
            return super().from_payload(payload, type_hint)
        except pydantic.ValidationError as error:
            if type_hint is None:
                raise
            try:
                return reading.read_json(type_hint, payload.data)
            except pydantic.ValidationError:
                raise error from None


class AdmissionConverter(PydanticPayloadConverter):
    """Converter of JSON; input that does not decode is InvalidInput, without its value."""

    def __init__(self) -> None:
        super().__init__()
        json = _JsonReader()
        self.converters = {**self.converters, json.encoding.encode(): json}

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
            raise invalid_input(NOT_JSON) from None


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


def admit(raw: tuple[Any, ...], model: type[Model]) -> Model:
    """Validate the one argument as a `model`, by its rules. Raises ApplicationError
    `InvalidInput`."""
    try:
        return admitted(raw, model)
    except Invalid as error:
        raise invalid_input(error.problems) from None


def read(raw: tuple[Any, ...], model: type[Model]) -> Model:
    """Read the one argument as a `model`: by its rules, or, where they refuse it, by structure
    alone. Raises ApplicationError `InvalidInput` for what no version could have admitted."""
    try:
        return recorded(raw, model)
    except Invalid as error:
        raise invalid_input(error.problems) from None


def problems_with(raw: tuple[Any, ...], model: type[BaseModel]) -> list[tuple[str, str]]:
    """The rules of a model that the one argument breaks: field and reason."""
    try:
        admit(raw, model)
    except ApplicationError as error:
        return problems_in(error)
    return []


def problems_in(refusal: ApplicationError) -> list[tuple[str, str]]:
    """Field and reason of each problem that the failure `InvalidInput` names."""
    return [(problem["field"], problem["reason"]) for problem in refusal.details]


def raise_if_refused(error: ActivityError) -> None:
    """Raise `InvalidInput`, without a cause, if the activity has refused the input of the run."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == INVALID_INPUT:
        raise ApplicationError(
            cause.message, *cause.details, type=INVALID_INPUT, non_retryable=True
        ) from None
