"""Classifies the errors of activities: see `activities.errors` for what each failure means."""

from datetime import timedelta
from typing import Any

import pydantic
from psycopg import DataError
from psycopg.errors import CheckViolation
from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError, FailureError
from temporalio.exceptions import ApplicationErrorCategory as Category
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from activities.adapters.payment import NothingSent, NotTheSameTransfer, OutcomeUnknown
from activities.errors import (
    AGAIN_IN_S,
    ATTEMPT_NUMBER,
    FAILED,
    FOR_EVER,
    INVALID_INPUT,
    REFUSED,
    REUSED,
    UNAVAILABLE_NOW,
    UNKNOWN,
    Failed,
    Refused,
    invalid_input,
)
from activities.problems import problems_of
from activities.providers.provider import ProviderRefused, ProviderUnavailable
from ledger.aggregates.errors import RowUnreadable
from ledger.database import UNAVAILABLE, describe, failure
from ledger.errors import (
    Fenced,
    InputChanged,
    NeverWorks,
    NotAdmitted,
    NotSigned,
    StateRefused,
    StillOpen,
    TryAgain,
)
from ledger.words import recordable


def classify(error: Exception) -> FailureError:  # noqa: C901, PLR0911, PLR0912 - one case a line
    """Converts an error that left an activity into the failure that Temporal records."""
    match error:
        case FailureError():
            return error
        case Refused():
            return _final(REFUSED, error.reason, error.reason)
        case Failed() | NotTheSameTransfer():
            return _final(FAILED, str(error), "provider_failed")
        case StateRefused() | ProviderRefused():
            return _final(REFUSED, str(error), error.reason)
        case pydantic.ValidationError():
            return invalid_input(problems_of(error))
        case NotAdmitted():
            return invalid_input(error.problems)
        case NotSigned():
            return invalid_input([("signature", str(error))])
        case InputChanged():
            return _final(REUSED, str(error))
        case RowUnreadable():
            # Somebody may mend the row, and then the saga goes on.
            return ApplicationError(str(error), type=type(error).__name__)
        case Fenced() | NeverWorks():
            return _final(type(error).__name__, str(error))
        case DataError() | CheckViolation():
            # PostgreSQL can't hold the value, or a bound of the ledger refuses it; it never will.
            return _final(FAILED, describe(error), "invalid_data")
        case OutcomeUnknown():
            return _final(UNKNOWN, str(error), *_news(error))
        case StillOpen() | NothingSent() | ProviderUnavailable() if error.again_in_s is not None:
            again_in = timedelta(seconds=error.again_in_s)
            message = recordable(str(error))
            return ApplicationError(message, type=UNAVAILABLE_NOW, next_retry_delay=again_in)
        case NothingSent() | ProviderUnavailable() | TryAgain():
            return ApplicationError(recordable(str(error)), type=UNAVAILABLE_NOW)
        case _ if isinstance(error, UNAVAILABLE):
            return ApplicationError(str(failure(error)), type=UNAVAILABLE_NOW)
        case _:
            name = type(error).__name__
            state = getattr(error, "sqlstate", None)
            return ApplicationError(f"{name} {state or ''}".strip(), type=name)


def _news(error: OutcomeUnknown) -> list[dict[str, Any]]:
    """When the outcome is worth another look; empty where nothing is known of that."""
    told = {AGAIN_IN_S: error.again_in_s, FOR_EVER: error.for_ever or None}
    known = {name: value for name, value in told.items() if value is not None}
    return [known] if known else []


def _final(kind: str, message: str, *details: Any) -> ApplicationError:
    # A no is an answer: the SDK counts it as no failure, and logs it without a traceback. What the
    # state does not allow should not have been asked.
    is_answer = kind == REFUSED and "not_allowed" not in details
    category = Category.BENIGN if is_answer else Category.UNSPECIFIED
    # Of an external system it becomes the reason of a step.
    text = recordable(message)
    return ApplicationError(text, *details, type=kind, non_retryable=True, category=category)


class ClassifyErrors(Interceptor):
    """Applies `classify` to every activity of a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wraps the activity; the SDK calls this once per worker."""
        return _Classifying(next)


class _Classifying(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the one classifier
            # `from None`: the cause would carry the driver's message, and with it values.
            raise counted(classify(error), activity.info().attempt) from None


def counted(told: FailureError, attempt: int) -> FailureError:
    """The failure with the number of its attempt as the last detail, unless it is the first one.

    Temporal tells a workflow no number, and gives an activity that was paused while it ran an
    attempt beyond `maximum_attempts`.
    """
    if attempt == 1 or not isinstance(told, ApplicationError) or told.type == INVALID_INPUT:
        return told
    return ApplicationError(
        told.message,
        *told.details,
        {ATTEMPT_NUMBER: attempt},
        type=told.type,
        non_retryable=told.non_retryable,
        next_retry_delay=told.next_retry_delay,
        category=told.category,
    )
