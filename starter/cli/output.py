"""Prints for commands: tables and lines for people, one JSON document for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click


def document(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2))


def compact(value: Any) -> str:
    """A JSON value in one line."""
    return json.dumps(value, separators=(",", ":"))


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


def plain(text: str) -> str:
    """The text without characters that would control a terminal: others wrote it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def table(
    headers: Sequence[str],
    values: Iterable[Sequence[object]],
    *,
    empty: str,
    droppable: Sequence[str] = (),
) -> None:
    """Print rows in columns: drawn on a terminal, else one plain line each.

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
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    kept = fitting(headers, rows, droppable, console.width)
    drawn = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for index in kept:
        # A cell is one line; only the last is cut, or where nothing may go, wraps at a space.
        last = index == kept[-1]
        drawn.add_column(
            headers[index],
            no_wrap=bool(droppable) or not last,
            overflow="ellipsis" if droppable or not last else "fold",
            min_width=None if last else _width(headers, rows, index),
        )
    for row in rows:
        # Text and not markup: a reason may hold square brackets.
        drawn.add_row(*(Text(row[index]) for index in kept))
    console.print(drawn)


def fitting(
    headers: Sequence[str], rows: Sequence[Sequence[str]], droppable: Sequence[str], width: int
) -> list[int]:
    """The columns that a terminal of this width has room for."""
    kept = list(range(len(headers)))
    for name in droppable:
        # Each column has a space on both sides, and the box one on both ends.
        if sum(_width(headers, rows, index) + 2 for index in kept) + 2 <= width:
            break
        kept.remove(headers.index(name))
    return kept


def _width(headers: Sequence[str], rows: Sequence[Sequence[str]], index: int) -> int:
    from rich.cells import cell_len

    return max(cell_len(row[index]) for row in [headers, *rows])
