"""Prints events for people: a table on a terminal, plain lines on a pipe."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from starter.cli import output

if TYPE_CHECKING:
    from ledger.read.log import LoggedEvent

_HEADERS = ("position", "time", "who", "aggregate", "version", "event")
# A terminal gets a table of so many at a time: its columns are as wide as their widest cell.
_AT_ONCE = 1000


def show(events: "Sequence[LoggedEvent]", saga_id: str | None = None) -> None:
    """Print a list of events at once; names of `saga_id` are shortened on a terminal."""
    if output.on_terminal():
        _draw(events, saga_id)
    else:
        output.table(_HEADERS, map(_cells, events), empty="no event")


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
        output.rows(map(_cells, events))


def in_a_line(event: "LoggedEvent") -> str:
    """An event in one line, as `amends follow` prints it."""
    time = f"{event.timestamp:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return f"{time}  {event.event_type}  {event.aggregate}  {event.user_id}"


def _cells(event: "LoggedEvent") -> tuple[object, ...]:
    return (
        event.position,
        f"{event.timestamp:%Y-%m-%d %H:%M:%S}",
        event.user_id,
        event.aggregate,
        event.version,
        event.event_type,
    )


def _draw(events: "Sequence[LoggedEvent]", saga_id: str | None) -> None:
    from starter.client.wording import short

    # A time of day says enough of events of one day.
    one_day = len({event.timestamp.date() for event in events}) == 1
    rows = [
        (
            event.position,
            f"{event.timestamp:{'' if one_day else '%m-%d '}%H:%M:%S.%f}"[:-3],
            event.event_type,
            event.user_id,
            short(event.aggregate, saga_id),
        )
        for event in events
    ]
    droppable = ("position", "who")
    headers = ("position", "time", "event", "who", "what")
    output.table(headers, rows, empty="no event", droppable=droppable)
