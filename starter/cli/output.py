"""Prints for commands: tables and lines for people, one JSON document for programs."""

import csv
import json
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from ledger.words import plain

# Set in the context by the option --utc.
IN_UTC = "starter.cli.in_utc"


def document(value: Any) -> None:
    """Print one JSON document on stdout; its times are in UTC."""
    click.echo(json.dumps(value, indent=2, default=_as_json))


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def moment(at: datetime | None, timespec: str = "seconds") -> str:
    """A time for people: in their zone with its offset, or with `--utc` in UTC; of one that can't
    be read, that."""
    if at is None:
        return "(unreadable)"
    context = click.get_current_context(silent=True)
    zone = UTC if context is not None and context.meta.get(IN_UTC) else None
    return at.astimezone(zone).isoformat(sep=" ", timespec=timespec)


def more(limit: int, *, as_json: bool = False, after: str = "") -> None:
    """Say that a list goes on, and after which row. With --json on stderr: stdout has one
    document."""
    goes_on = f", --after {after} the next ones" if after else ""
    said = f"and more: --limit {limit * 10} lists up to {limit * 10}{goes_on}"
    (aside if as_json else line)(said)


def compact(value: Any) -> str:
    """A JSON value in one line; its times are in UTC."""
    return json.dumps(value, separators=(",", ":"), default=_as_json)


class Csv:
    """Prints rows of these columns as CSV on stdout. A text that a spreadsheet would take for a
    formula has an apostrophe before it."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._writer.writerow(columns)

    def add(self, row: Mapping[str, Any]) -> None:
        """Print the next row."""
        self._writer.writerow([_csv_cell(row.get(name)) for name in self._columns])


def _csv_cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(tuple("=+-@\t\r")) else value
    return value if value is None or isinstance(value, int) else _as_json(value)


class Array:
    """Prints one JSON array on stdout, an item to a line, as the items come: `with` it."""

    def __enter__(self) -> "Array":
        self._before = "["
        return self

    def add(self, value: Any) -> None:
        """Print the next item."""
        sys.stdout.write(f"{self._before}\n{compact(value)}")
        self._before = ","

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            sys.stdout.write("[]\n" if self._before == "[" else "\n]\n")


def line(text: str) -> None:
    """Print one line for a person."""
    click.echo(plain(text))


def aside(text: str) -> None:
    """Print a line that is not the answer, on stderr."""
    click.echo(plain(text), err=True)


def table(
    headers: Sequence[str],
    values: Iterable[Sequence[object]],
    *,
    empty: str,
    droppable: Sequence[str] = (),
) -> None:
    """Print rows in columns: side by side on a terminal, else with a tab between them.

    On a narrow terminal the `droppable` columns go, the first first.
    """
    cells = [[_cell(cell) for cell in row] for row in values]
    if not cells:
        click.echo(empty)
    elif on_terminal():
        _drawn(headers, cells, droppable)
    else:
        rows([headers, *cells])


def rows(values: Iterable[Sequence[object]]) -> None:
    """Print rows as plain lines, a tab between the columns."""
    for row in values:
        # Not echo: it sends each line off by itself.
        sys.stdout.write("\t".join(map(_cell, row)).rstrip() + "\n")


def _cell(value: object) -> str:
    return plain("" if value is None else str(value))


def on_terminal() -> bool:
    """Whether a person reads the answer, and no program."""
    return sys.stdout.isatty()


def _drawn(headers: Sequence[str], rows: Sequence[Sequence[str]], droppable: Sequence[str]) -> None:
    room = shutil.get_terminal_size().columns
    kept = fitting(headers, rows, droppable, room)
    widths = {index: _width(headers, rows, index) for index in kept}
    for number, row in enumerate([headers, *rows]):
        # A line of the screen is one row: the last cell is cut, unless every column is needed.
        cells = [_padded(row[index], widths[index]) for index in kept]
        text = "  ".join(cells).rstrip()
        text = _cut(text, room) if droppable else text
        click.echo(click.style(text, bold=True) if number == 0 else text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_width(text))


def _cut(text: str, room: int) -> str:
    if cell_width(text) <= room:
        return text
    while cell_width(text) >= room:
        text = text[:-1]
    return f"{text}…"


def cell_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def fitting(
    headers: Sequence[str], rows: Sequence[Sequence[str]], droppable: Sequence[str], width: int
) -> list[int]:
    """The columns that a terminal of this width has room for."""
    kept = list(range(len(headers)))
    for name in droppable:
        # Two spaces stand between the columns.
        if sum(_width(headers, rows, index) + 2 for index in kept) - 2 <= width:
            break
        kept.remove(headers.index(name))
    return kept


def _width(headers: Sequence[str], rows: Sequence[Sequence[str]], index: int) -> int:
    return max(cell_width(row[index]) for row in [headers, *rows])
