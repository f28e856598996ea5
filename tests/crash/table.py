"""What was tried and what broke, as a table of scenarios and faults."""

from collections.abc import Sequence
from pathlib import Path

from tests.crash.explorer import TWO_FAULTS, Tried
from tests.crash.orders import FAULTS

COLUMNS = (*FAULTS, TWO_FAULTS)
DOCUMENT = Path(__file__).parents[2] / "docs" / "guarantees.md"
BEGIN, END = "<!-- make crash ARGS=--write -->", "<!-- until here -->"


def table(tried: Sequence[Tried]) -> str:
    """Points by scenario and fault, in Markdown; where laws are broken, how many."""
    scenarios = list(dict.fromkeys(each.point.scenario for each in tried))
    lines = [
        _row("scenario", [*COLUMNS, "points", "laws broken"]),
        _row("---", ["---:"] * (len(COLUMNS) + 2)),
    ]
    for scenario in [*scenarios, None]:
        of = [each for each in tried if scenario in (None, each.point.scenario)]
        cells = [_count([each for each in of if each.point.column == column]) for column in COLUMNS]
        broken = sum(len(each.broken) for each in of)
        lines.append(_row(scenario or "all", [*cells, str(len(of)), str(broken)]))
    return "\n".join(lines)


def _count(tried: Sequence[Tried]) -> str:
    return str(len(tried)) if tried else ""


def _row(first: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([first, *cells]) + " |"


def write(text: str) -> None:
    """Put it between the two marks of docs/guarantees.md."""
    whole = DOCUMENT.read_text()
    before, _, rest = whole.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
