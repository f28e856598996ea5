"""The errors of a client, and the exit status with which the command line ends.

AmendsError               1  the root
├── BadRequest            2  change what you ask for
│   ├── InvalidInput         a field is wrong: `field` and `reason`, never the value
│   ├── OperationIdReused    the operation id belongs to another request
│   ├── NotAllowed           the state of the saga does not allow it
│   │   ├── Paused              its run is paused in Temporal: unpause it
│   │   └── NotBegun            its start delay has not passed
│   ├── NotKnown             there is no such saga, schedule or aggregate
│   └── WrongSetting         a setting is in the way: the message names it
├── Unreachable           3  a server can't be reached: the same call may succeed later
│   ├── NoWorker             Temporal answers, and no worker listens on the queue
│   └── UpdateDropped        Temporal dropped an update, again and again
└── SagaFailed            1  the run ended with a failure
    └── OperationInProgress  another run that is still open carries this operation
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.contract.waits import Wait

# A line that names more fields is not read to its end.
_TOLD = 5


class AmendsError(Exception):
    """The root of all errors of the client. The message is one line that says what to do."""

    exit_status = 1


class BadRequest(AmendsError):
    """The request is wrong: change it."""

    exit_status = 2


class InvalidInput(BadRequest):
    """Fields of the request are wrong: correct them and ask again; nothing was written. `problems`
    holds field and reason of each; `field` and `reason` are the first."""

    def __init__(self, field: str, reason: str, *others: tuple[str, str]) -> None:
        self.problems = [(field or "input", reason), *others]
        self.field, self.reason = self.problems[0]
        told = [f"{name}: {why}" for name, why in self.problems[:_TOLD]]
        if len(self.problems) > _TOLD:
            told.append(f"and {len(self.problems) - _TOLD} more")
        super().__init__("; ".join(told))


class OperationIdReused(BadRequest):
    """The operation id belongs to another request: use a new id."""


class NotAllowed(BadRequest):
    """The state of the saga does not allow the action: look at the saga (`amends saga ID`)."""


class Paused(NotAllowed):
    """The run is open and does not run: paused in Temporal. Unpause it (`temporal workflow
    unpause`), and ask again. `wait` has the command."""

    def __init__(self, message: str, wait: "Wait") -> None:
        super().__init__(message)
        self.wait = wait


class NotBegun(NotAllowed):
    """The run begins later: its start delay has not passed. Ask again then."""


class NotKnown(BadRequest):
    """The name is unknown: `amends sagas`, `amends schedule list` and `amends log` list the
    names."""


class WrongSetting(BadRequest):
    """A setting of ours, or of the database, the role, the pooler or the address, is in the way:
    change the one that the message names."""


class Unreachable(AmendsError):
    """A server can't be reached: start it or correct the setting that the message names, then ask
    again.

    A request may have arrived before the connection broke: repeat it under the same operation id.
    """

    exit_status = 3


class NoWorker(Unreachable):
    """No worker listens: start one (`amends worker`). A saga that Temporal has taken goes on when
    one comes."""


class UpdateDropped(Unreachable):
    """Temporal has dropped an update, again and again: the decision may stand or not. Look at the
    saga, and ask again."""


class SagaFailed(AmendsError):
    """The run failed. `failure_type` is the type of the failure, a word a program may compare."""

    def __init__(self, message: str, failure_type: str) -> None:
        super().__init__(message)
        self.failure_type = failure_type


class OperationInProgress(SagaFailed):
    """Another run carries the operation: follow it, or ask again when it has ended."""
