"""Words the problems of invalid input: field and reason, never the value."""

import re
from collections.abc import Sequence

import pydantic
from pydantic_core import ErrorDetails

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
# More would not help a person, and a failure has to fit into a message of the server.
MAX_PROBLEMS = 20


def at_most(problems: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The problems, or the first MAX_PROBLEMS of them and one that counts the others."""
    left_out = len(problems) - MAX_PROBLEMS
    # A last one takes no more room than to say that there is one more; and so does this list when
    # it is made again of its own problems.
    if left_out > 1:
        return [*problems[:MAX_PROBLEMS], ("input", f"and {left_out} more problems")]
    return problems


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
