"""The failures of activities: retried or not, and what each means.

`activities.classification` makes them of the errors that leave an activity.

    type of the failure        | retried | it means
    ---------------------------+---------+---------------------------------------------------------
    refused                    | no      | business says no; `details` is the reason, a single word
    failed                     | no      | it will never work, and it is known not to have happened
    InvalidInput               | no      | details name field and reason, never the value
    operation_id_reused        | no      | another request has this operation id
    operation_in_progress      | no      | another run that is still open carries this saga
    Fenced                     | no      | the attempt is late: the saga is compensated without it
    unknown                    | no      | it may have happened: the saga resolves it, with pauses
    unavailable                | yes     | not now: a server is away or busy
    anything else              | yes     | a bug: fix it and the retry goes on; class name only

Messages of errors that are not ours never leave: they may carry values of the request.
"""

import re
from collections.abc import Sequence
from datetime import timedelta

import pydantic
from pydantic_core import ErrorDetails
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
REFUSED, FAILED = "refused", "failed"
INVALID_INPUT = "InvalidInput"
REUSED, IN_PROGRESS = "operation_id_reused", "operation_in_progress"
UNKNOWN, UNAVAILABLE_NOW = "unknown", "unavailable"
# The last detail of a failure of a later attempt.
ATTEMPT_NUMBER = "attempt"


class Refused(Exception):
    """The request was refused for good, on record. `reason` is a word a program may compare."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Failed(Exception):
    """The step failed for good, its effect did not happen, and both are on record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# More would not help a person, and a failure has to fit into a message of the server.
MAX_PROBLEMS = 20


def invalid_input(problems: Sequence[tuple[str, str]]) -> ApplicationError:
    """Makes the failure for invalid input: each problem a field (`present[1].spec.owner`)
    and a reason."""
    left_out = len(problems) - MAX_PROBLEMS
    # A last one takes no more room than to say that there is one more; and so does this failure
    # when it is made again of its own details.
    if left_out > 1:
        problems = [*problems[:MAX_PROBLEMS], ("input", f"and {left_out} more problems")]
    text = "; ".join(f"{field}: {reason}" for field, reason in problems)
    details = [{"field": field, "reason": reason} for field, reason in problems]
    # An answer: logged without a traceback.
    benign = ApplicationErrorCategory.BENIGN
    return ApplicationError(text, *details, type=INVALID_INPUT, non_retryable=True, category=benign)


def problems_of(error: pydantic.ValidationError) -> list[tuple[str, str]]:
    """Field and reason of each problem, without the value."""
    return [
        ("".join(_part(part) for part in problem["loc"]).lstrip(".") or "input", _reason(problem))
        for problem in error.errors(include_input=False, include_url=False)
    ]


def _part(part: int | str) -> str:
    """A part of a path such as `present[1].spec.owner`."""
    if isinstance(part, int):
        return f"[{part}]"
    # The name of an unknown field is the caller's text: it may itself be an account number.
    return f".{part}" if _NAME.fullmatch(part) else ".(another field)"


# pydantic's words are for whoever writes Python. `{limit}` is the model's, never the value.
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "unknown field: leave it out",
    "model_type": "an object is needed",
    "model_attributes_type": "an object is needed",
    "dict_type": "an object is needed",
    "list_type": "a list is needed",
    "string_type": "text is needed",
    "bool_type": "true or false is needed",
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_parsing_size": "the number is too large",
    "greater_than": "more than {gt} is needed",
    "greater_than_equal": "at least {ge} is needed",
    "less_than": "less than {lt} is needed",
    "less_than_equal": "at most {le} is allowed",
    "string_too_short": "at least {min_length} characters are needed",
    "string_too_long": "at most {max_length} characters are allowed",
    "too_long": "at most {max_length} entries are allowed",
    "literal_error": "one of {expected} is needed",
    "time_delta_type": "an ISO 8601 duration such as PT10M or P1D is needed",
    "time_delta_parsing": "an ISO 8601 duration such as PT10M or P1D is needed",
}
_NAMES = "1 to 64 of A-Z a-z 0-9 . _ -"
_PATTERNS = {
    r"^[A-Za-z0-9._-]{1,64}$": f"{_NAMES} are needed",
    r"^(user|agent):[A-Za-z0-9._@+-]{1,64}$": f"user: or agent: and {_NAMES} @ + are needed",
    r"^user:[A-Za-z0-9._@+-]{1,64}$": f"user: and {_NAMES} @ + are needed",
    r"^[A-Za-z0-9-]{1,64}$": "the id of a namespace is needed",
    r"^[a-z0-9_]+\.[a-z0-9_]+$": "a kind such as postgres.database is needed",
}


def _reason(problem: ErrorDetails) -> str:
    limits = problem.get("ctx", {})
    # The only times that are bounded are durations; pydantic writes their bounds as Python.
    if any("timedelta" in repr(limits.get(bound)) for bound in ("gt", "le")):
        return "more than zero and at most P366D"
    if problem["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(limits["pattern"], f"text like {limits['pattern']} is needed")
    if problem["type"] in _REASONS:
        return _REASONS[problem["type"]].format_map(limits)
    return problem["msg"].removeprefix("Value error, ")


# How long a single try of an external call may take, and how often it must show that it lives.
OUTSIDE_TRY = timedelta(seconds=30)
# What it gives itself: less, so that it ends by itself and says how.
ATTEMPT = OUTSIDE_TRY - timedelta(seconds=5)
HEARTBEAT = timedelta(seconds=6)
# While a server is away an undo is tried so often, a quarter of a minute, before the saga counts
# and tells it; then it pauses, so that people may decide.
TRIES_AT_ONCE = 6
