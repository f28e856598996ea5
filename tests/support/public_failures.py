"""What a failure that leaves a workflow may hold: every SDK has to decode it."""

from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

# Where a test takes an activity's place or breaks a workflow, a defect is what is to be seen.
_DEFECTS = {"RuntimeError", "AssertionError"}


def leaks_of(failure: Failure) -> list[str]:
    """What a public failure may not hold: a cause, a trace of our code."""
    found = ["a cause"] if failure.HasField("cause") else []
    if failure.WhichOneof("failure_info") != "application_failure_info":
        found.append(f"{failure.WhichOneof('failure_info')}")
    # A bug of ours is to be found: it alone has a trace.
    if failure.stack_trace and failure.application_failure_info.type not in _DEFECTS:
        found.append("a stack trace")
    return found


def assert_public(error: ApplicationError) -> None:
    """The failure, as a client has decoded it, holds nothing of how we work."""
    assert isinstance(error.failure, Failure)
    assert leaks_of(error.failure) == []
