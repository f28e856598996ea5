"""One part of what `make bench` prints."""

from dataclasses import dataclass

from benchmarks.table import Table


@dataclass(frozen=True)
class Part:
    """A title, its table, and what verify found on the way: nothing, in a ledger that is right."""

    title: str
    table: Table
    findings: list[str]
