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

from collections.abc import Sequence
from datetime import timedelta

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.problems import at_most

REFUSED, FAILED = "refused", "failed"
INVALID_INPUT = "InvalidInput"
REUSED, IN_PROGRESS = "operation_id_reused", "operation_in_progress"
UNKNOWN, UNAVAILABLE_NOW = "unknown", "unavailable"
# The last detail of a failure of a later attempt.
ATTEMPT_NUMBER = "attempt"
# Of the failure `unknown`: so long there is no news, or there never will be.
AGAIN_IN_S, FOR_EVER = "again_in_s", "for_ever"


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


def invalid_input(problems: Sequence[tuple[str, str]]) -> ApplicationError:
    """Makes the failure for invalid input: each problem a field (`present[1].spec.owner`)
    and a reason."""
    problems = at_most(problems)
    text = "; ".join(f"{field}: {reason}" for field, reason in problems)
    details = [{"field": field, "reason": reason} for field, reason in problems]
    # An answer: logged without a traceback.
    benign = ApplicationErrorCategory.BENIGN
    return ApplicationError(text, *details, type=INVALID_INPUT, non_retryable=True, category=benign)


# How long a single try of an external call may take, and how often it must show that it lives.
OUTSIDE_TRY = timedelta(seconds=30)
# What it gives itself: less, so that it ends by itself and says how.
ATTEMPT = OUTSIDE_TRY - timedelta(seconds=5)
HEARTBEAT = timedelta(seconds=6)
# While a server is away an undo is tried so often, a quarter of a minute, before the saga counts
# and tells it; then it pauses, so that people may decide.
TRIES_AT_ONCE = 6
