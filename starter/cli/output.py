"""What commands print: tables and lines for people, one JSON document for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click


def document(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2))


def line(text: str) -> None:
    """One line for a person."""
    click.echo(plain(text))


def aside(text: str) -> None:
    """A line that is not the answer, on stderr."""
    click.echo(plain(text), err=True)


def plain(text: str) -> str:
    """The text without characters that would steer a terminal: others wrote it."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Rows in columns: drawn on a terminal, else one plain line each."""
    cells = [[plain("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not cells:
        click.echo(empty)
    elif sys.stdout.isatty():
        _drawn(headers, cells)
    else:
        for row in [list(headers), *cells]:
            click.echo("\t".join(row).rstrip())


def _drawn(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for header in headers:
        drawn.add_column(header, overflow="fold")
    for row in rows:
        # Text and not markup: a reason may hold square brackets.
        drawn.add_row(*map(Text, row))
    Console().print(drawn)
