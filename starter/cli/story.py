"""Submits a saga and shows its progress: a live table of its steps, plain lines, or nothing."""

import sys
from typing import TYPE_CHECKING, Any, Protocol

from starter.cli import output
from starter.cli.client import with_amends
from starter.client.errors import OperationInProgress, SagaFailed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starter.client.client import Amends
    from starter.client.kinds import Request
    from workflows.contract.progress import Progress

_ENDED_OTHERWISE, _WAITS = 1, 4


class ProgressView(Protocol):
    """Shows the progress of a saga, again and again."""

    def __enter__(self) -> "ProgressView": ...
    def __exit__(self, *_: object) -> None: ...
    def tell(self, progress: "Progress") -> None:
        """Show the progress of a saga."""


def submit(
    request: "Request",
    written: "Mapping[str, Any]",
    *,
    as_json: bool,
    detach: bool = False,
    wait: bool = False,
) -> int:
    """Submit a request as it is written, follow until the saga ends or waits for a person, print
    its state; returns the exit status."""
    progress = carried(request, written, as_json=as_json, detach=detach, wait=wait)
    say(progress, as_json=as_json, agent=getattr(request, "agent_id", None))
    return status_of(progress)


def carried(
    request: "Request",
    written: "Mapping[str, Any]",
    *,
    as_json: bool,
    detach: bool,
    wait: bool,
) -> "Progress":
    """Submit a request as it is written, and follow until the saga ends or waits for a person;
    returns its last progress."""
    from starter.client.kinds import kind_of
    from starter.client.validation import checked

    async def work(amends: "Amends") -> "Progress":
        with _view(as_json) as view:
            last = await amends.submit(request, written=written)
            _tell(view, last)
            if detach or last.result is not None or (last.needs_person and not wait):
                return last
            async for progress in amends.follow(last.saga_id, to_the_end=wait):
                _tell(view, progress)
                last = progress
            return last

    try:
        return with_amends(work)
    except SagaFailed as error:
        if as_json and not isinstance(error, OperationInProgress):
            saga_id = kind_of(request).saga_id(str(request.operation_id))
            output.document({"saga_id": saga_id, "state": "failed", "reason": error.failure_type})
        raise
    except Unreachable:
        # Nobody can say whether it was submitted before: then it has to be good by itself.
        checked(type(request), written)
        raise


def _tell(view: ProgressView, progress: "Progress") -> None:
    # The steps of a first answer, or of a plan without an operation, are nothing done now.
    if not progress.did_nothing:
        view.tell(progress)


def say(progress: "Progress", *, as_json: bool, agent: str | None = None) -> None:
    """Print the state of the saga, which `agent` asked for if it is known, as the last line of a
    command."""
    if as_json:
        output.document(document_of(progress))
        return
    from starter.client.wording import ASKED_BEFORE, notes, standing

    if progress.repeated:
        output.line(ASKED_BEFORE)
    for note in notes(progress):
        output.line(f"note: {note}")
    output.line(standing(progress, agent))


def document_of(progress: "Progress") -> dict[str, Any]:
    """The result with `saga_id`; the progress of a saga that has not ended."""
    if progress.result is None:
        return progress.model_dump(mode="json")
    from ledger.reading import read
    from starter.client.kinds import kind_of_saga

    # Read by its model: in the order of the fields, whatever the ledger's JSON made of it.
    result = read(kind_of_saga(progress.saga_id).result, progress.result)
    done_now = {"done_now": False} if progress.repeated else {}
    return {"saga_id": progress.saga_id, **result.model_dump(mode="json"), **done_now}


def status_of(progress: "Progress") -> int:
    """The exit status for the progress of a saga."""
    from starter.client.kinds import kind_of_saga

    if progress.result is not None:
        good_ends = kind_of_saga(progress.saga_id).good_ends
        return 0 if str(progress.result.get("state")) in good_ends else _ENDED_OTHERWISE
    return _WAITS if progress.needs_person else 0


def _view(as_json: bool) -> ProgressView:
    if as_json:
        return _Silent()
    if sys.stdout.isatty():
        from starter.cli.live import LiveTable

        return LiveTable()
    return _Lines()


class _Silent:
    """Shows nothing: programs read the answer alone."""

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def tell(self, progress: "Progress") -> None:
        return None


class _Lines:
    """Prints a line for each step, each time its state changes."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def tell(self, progress: "Progress") -> None:
        for step in progress.steps:
            if self._told.get(step.name) != step.state:
                detail = f" ({step.detail})" if step.detail else ""
                output.line(f"  {step.name}: {step.state}{detail}")
                self._told[step.name] = step.state
