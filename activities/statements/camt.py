"""Reads camt.053 and camt.054 of ISO 20022 as a stream: what is held is one entry, or one batch.

Versions 001.02 to 001.13. The elements and their order: the schemas of ISO 20022. In the older ones
a status is a text (`<Sts>BOOK</Sts>`), and a transaction has its amount in `AmtDtls` only; in the
newer ones a status is a code or the bank's own word, and a transaction has `Amt` and `CdtDbtInd`.
Both are read in each version.
"""

import re
from collections.abc import Callable, Iterator
from datetime import tzinfo
from typing import Any, BinaryIO, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser
from xml.parsers import expat

from activities.statements.camt_entry import Reading
from activities.statements.entry import Entry, Statement, StatementRefused

_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.(053|054)\.001\.([0-9]{2})")
VERSIONS = range(2, 14)
_ROOTS = {"053": ("BkToCstmrStmt", "Stmt"), "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn")}
# More events at once would leave the caches of the processor: half as fast at 64 KB.
_CHUNK_BYTES = 1 << 13
# No transaction, and no entry without its transactions, is so long: what is would have to be held.
_MAX_PIECE_BYTES = 1 << 20
_MAX_DEPTH = 100
# The depth of a statement in the document, of an entry in it, and of a transaction in that.
_STATEMENT, _ENTRY, _TRANSACTION = 3, 4, 6


def read_camt(file: BinaryIO, zone: tzinfo) -> Iterator[Entry | Statement]:
    """Yields the entries of each statement of the file, then the statement. Times
    without a zone are of `zone`. Raises StatementRefused."""
    message, namespace = _root(file)
    file.seek(0)
    reader = _Reader(message, f"{{{namespace}}}", zone)
    try:
        while chunk := file.read(_CHUNK_BYTES):
            yield from reader.feed(chunk)
        yield from reader.close()
    except ParseError as error:
        raise StatementRefused(error.position[0], f"not well-formed XML ({error})") from None
    except (ValueError, OverflowError) as error:
        file.seek(0)
        raise StatementRefused(_line(file, reader.began), str(error)) from None


class _Reader:
    """Takes an entry at a time out of the tree that the parser grows."""

    def __init__(self, message: str, prefix: str, zone: tzinfo) -> None:
        root, statement = _ROOTS[message]
        self._parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        self._reading = Reading(message == "053", prefix, zone)
        self._path = (f"{prefix}{root}", f"{prefix}{statement}")
        self._done: dict[str, tuple[int, Callable[[Element], None]]] = {
            f"{prefix}Ntry": (_ENTRY, self._reading.entry),
            f"{prefix}Bal": (_ENTRY, self._reading.balance),
            f"{prefix}TxDtls": (_TRANSACTION, self._reading.transaction),
            self._path[1]: (_STATEMENT, self._reading.statement),
        }
        # What of a statement is kept until it ends.
        self._header = {f"{prefix}{local}" for local in ("Id", "FrToDt", "Acct")}
        self._depth = self._started = self._held_bytes = 0
        self._open: list[Element] = []
        # The number of the element that began the piece in work.
        self.began = 0

    def feed(self, chunk: bytes) -> list[Entry | Statement]:
        """Returns what was completed by the bytes. Raises ParseError, ValueError."""
        self._held_bytes += len(chunk)
        self._parser.feed(chunk)
        self._take()
        if self._held_bytes > _MAX_PIECE_BYTES:
            raise ValueError(f"an element is longer than {_MAX_PIECE_BYTES:,} bytes")
        return self._reading.taken()

    def close(self) -> list[Entry | Statement]:
        """Ends the file; one that breaks off is refused."""
        self._parser.close()
        self._take()
        if not self._reading.statements:
            raise ValueError("the file has no statement")
        return self._reading.taken()

    def _take(self) -> None:
        depth = self._depth
        events = cast(Iterator[tuple[str, Element]], self._parser.read_events())
        for event, element in events:
            if event == "start":
                depth += 1
                self._started += 1
                if depth <= _ENTRY:
                    self._begin(depth, element)
                elif depth > _MAX_DEPTH:
                    raise ValueError(f"elements are nested more than {_MAX_DEPTH} deep")
                continue
            if depth <= _TRANSACTION:
                self._end(depth, element)
            depth -= 1
        self._depth = depth

    def _begin(self, depth: int, element: Element) -> None:
        self.began = self._started
        del self._open[depth - 1 :]
        self._open.append(element)
        if depth == 2 and element.tag != self._path[0]:
            raise ValueError("the document is not of the message that its namespace names")

    def _end(self, depth: int, element: Element) -> None:
        known, done = self._done.get(element.tag, _NOTHING)
        if known == depth:
            done(element)
        elif depth == _ENTRY and element.tag in self._header:
            # Kept until the statement ends, so of each there is one.
            if len(self._open[depth - 2].findall(element.tag)) > 1:
                raise ValueError(f"{element.tag.rpartition('}')[2]} is there twice")
            return
        elif depth not in (_STATEMENT, _ENTRY):
            return
        self._held_bytes = 0
        if depth == _TRANSACTION:
            element.clear()
        else:
            # Of what is done nothing is left in the tree.
            self._open[depth - 2].remove(element)


def _nothing(_element: Element) -> None:
    """Passes an element that says nothing of entries."""


_NOTHING = (0, _nothing)


def _root(file: BinaryIO) -> tuple[str, str]:
    """The message and the namespace of the document, by its root. Raises StatementRefused also for
    a document type: without one there are no entities, neither external nor expanding."""
    found: list[str] = []
    parser = expat.ParserCreate(namespace_separator=" ")

    def doctype(*_: Any) -> None:
        reason = "a document type (DOCTYPE) is not allowed in a statement"
        raise StatementRefused(parser.CurrentLineNumber, reason)

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = lambda name, _: found.append(name)
    fed = 0
    try:
        while not found and (chunk := file.read(_CHUNK_BYTES)):
            parser.Parse(chunk, False)
            fed += len(chunk)
            if fed > _MAX_PIECE_BYTES:
                raise StatementRefused(1, "no element begins in the first megabyte")
        if not found:
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        if not found:
            raise StatementRefused(error.lineno, f"not well-formed XML ({error})") from None
    except (ValueError, LookupError):
        raise StatementRefused(1, "the encoding of the file is not known") from None
    namespace, _, local = found[0].rpartition(" ")
    match = _NAMESPACE.fullmatch(namespace)
    if local != "Document" or not match or int(match[2]) not in VERSIONS:
        raise StatementRefused(
            1,
            "the root is no Document of camt.053 or camt.054, "
            f"001.{VERSIONS[0]:02} to 001.{VERSIONS[-1]}",
        )
    return match[1], namespace


class _Found(Exception):
    """The element was reached."""


def _line(file: BinaryIO, number: int) -> int:
    """The line on which the element of this number begins, counted in a second pass: the parser
    that builds trees does not say it."""
    parser = expat.ParserCreate()
    left = number

    def start(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise _Found

    parser.StartElementHandler = start
    try:
        while chunk := file.read(_CHUNK_BYTES):
            parser.Parse(chunk, False)
    except (_Found, expat.ExpatError):
        pass
    return parser.CurrentLineNumber
