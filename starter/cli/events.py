"""Prints events for people: in columns on a terminal, with tabs between them on a pipe."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from starter.cli import output

if TYPE_CHECKING:
    from ledger.read.log import LoggedEvent

_HEADERS = ("position", "time", "event", "who", "version", "aggregate")
_DROPPABLE = ("position", "version", "who")
# Columns are as wide as their widest cell among so many events.
_AT_ONCE = 1000


def show(events: "Sequence[LoggedEvent]", saga_id: str | None = None) -> None:
    """Print a list of events at once; the steps of `saga_id` go by their own names."""
    rows = [_cells(event, saga_id) for event in events]
    output.table(_HEADERS, rows, empty="no event", droppable=_DROPPABLE)


async def show_stream(events: "AsyncIterator[LoggedEvent]") -> None:
    """Print any number of events, in bounded memory."""
    stretch: list[LoggedEvent] = []
    stretches = 0
    async for event in events:
        stretch.append(event)
        if len(stretch) == _AT_ONCE:
            _show_stretch(stretch, first=not stretches)
            stretches += 1
            stretch = []
    if stretch or not stretches:
        _show_stretch(stretch, first=not stretches)


def _show_stretch(events: "Sequence[LoggedEvent]", *, first: bool) -> None:
    if first or output.on_terminal():
        show(events)
    else:
        output.rows(_cells(event, None) for event in events)


def in_a_line(event: "LoggedEvent") -> str:
    """An event in one line, as `amends follow` prints it."""
    time = output.moment(event.timestamp, "milliseconds")
    return f"{time}  {_type_of(event)}  {event.aggregate}  {event.user_id}"


def _type_of(event: "LoggedEvent") -> str:
    if not event.unreadable:
        return event.event_type
    return f"{event.event_type} ({', '.join(event.unreadable)})"


def called(aggregate: str, saga_id: str | None) -> str:
    """The name of an aggregate for people: a step of the saga `saga_id` goes by its own name."""
    if saga_id and aggregate.startswith(f"step/{saga_id}/"):
        return f"step {aggregate.removeprefix(f'step/{saga_id}/')}"
    return aggregate


def _cells(event: "LoggedEvent", saga_id: str | None) -> tuple[object, ...]:
    return (
        event.position,
        output.moment(event.timestamp, "milliseconds"),
        _type_of(event),
        event.user_id,
        event.version,
        called(event.aggregate, saga_id),
    )
