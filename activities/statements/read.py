"""Reads a bank's file, whichever of the formats it is in."""

from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import BinaryIO

from activities.statements.camt import read_camt
from activities.statements.entry import Entry, Statement, StatementRefused
from activities.statements.mt940 import read_mt940

# The marks of an encoding, and what XML in two bytes begins with.
_XML = (b"<", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_MT940 = (b":20:", b"{1:")


def read_statement(file: BinaryIO, zone: tzinfo = UTC) -> Iterator[Entry | Statement]:
    """Yields the entries of each statement of `file`, a seekable file at its beginning, and the
    statement after its entries. What is held does not grow with the file. `zone` is that of days
    and times that name none.

    Raises StatementRefused with line and reason, also after many entries: use none of them.
    """
    head = file.read(512).lstrip(b"\r\n\t ")
    file.seek(0)
    if head.startswith(_XML):
        return read_camt(file, zone)
    if head.startswith(_MT940):
        return read_mt940(file, zone)
    raise StatementRefused(1, "neither camt.053 or camt.054 nor MT940 begins like this")
