"""Matches the entries of statements with bookings, by reference, then by end-to-end id.

Both sides lie in a temporary file (SQLite), so memory doesn't grow with them; who belongs together
is decided by `comparison.compare`, transfer by transfer.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from types import TracebackType
from typing import Any, Self

import msgspec

from activities.statements.comparison import Booking, Compared, Difference, compare
from activities.statements.entry import Entry

# Kilobytes of the temporary file that are held, besides what a sort takes.
_CACHE_KB = 32_000
_ROWS_AT_ONCE = 2_000
# Of awaited bookings: they go into one event, which holds 4 MB.
MOST_NAMES = 50_000
_SCHEMA = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA temp_store = FILE;
    PRAGMA cache_size = -{cache};
    CREATE TABLE booking (transfer, reference, end_to_end_id, payload);
    CREATE TABLE entry (reference, end_to_end_id, payload);
"""
_INDEXES = """
    CREATE INDEX booking_by_reference ON booking (reference, transfer)
        WHERE reference IS NOT NULL;
    CREATE INDEX booking_by_end_to_end_id ON booking (end_to_end_id, transfer)
        WHERE end_to_end_id IS NOT NULL;
"""
# The lowest transfer, where several share what names them.
_OWNED = """
    SELECT coalesce(
        (SELECT min(transfer) FROM booking WHERE booking.reference = entry.reference),
        (SELECT min(transfer) FROM booking WHERE booking.end_to_end_id = entry.end_to_end_id)
    ) AS owner, 1 AS is_entry, entry.rowid AS number, payload FROM entry
    UNION ALL SELECT transfer, 0, rowid, payload FROM booking
    ORDER BY 1, 2, 3
"""


class Matching:
    """Entries against bookings. Use it by `with`: the temporary file goes with it.

    First all entries and all bookings, then `results`. Raises sqlite3.Error, as of a full disk.
    """

    def __init__(self) -> None:
        # An empty name is a temporary file, in the folder of SQLITE_TMPDIR or TMPDIR.
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.executescript(_SCHEMA.format(cache=_CACHE_KB))
        self._connection.execute("BEGIN")
        self._encode = msgspec.msgpack.Encoder().encode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """Adds entries, in the order of the file; information that is no booking is left out."""
        encode = self._encode
        self._add(
            "INSERT INTO entry VALUES (?, ?, ?)",
            (
                (each.reference, each.end_to_end_id, encode(each))
                for each in entries
                if each.status != "other"
            ),
        )

    def add_bookings(self, bookings: Iterable[Booking]) -> None:
        """Adds bookings, in any order."""
        encode = self._encode
        self._add(
            "INSERT INTO booking VALUES (?, ?, ?, ?)",
            (
                (each.transfer, each.reference, each.end_to_end_id, encode(each))
                for each in bookings
            ),
        )

    def _add(self, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            self._connection.executemany(statement, some)

    def results(self) -> Iterator[tuple[str | None, Compared]]:
        """Yields what each transfer came to, in the order of their names; of None it is what no
        transfer explains."""
        self._connection.executescript(_INDEXES)
        booking_of = msgspec.msgpack.Decoder(Booking).decode
        entry_of = msgspec.msgpack.Decoder(Entry).decode
        rows = self._connection.execute(_OWNED)
        for owner, group in groupby(rows, key=lambda row: row[0]):
            if owner is None:
                yield from ((None, _unexplained(entry_of(row[3]))) for row in group)
                continue
            bookings: list[Booking] = []
            entries: list[Entry] = []
            for _, is_entry, _, payload in group:
                if is_entry:
                    entries.append(entry_of(payload))
                else:
                    bookings.append(booking_of(payload))
            yield owner, compare(bookings, entries)


def _unexplained(entry: Entry) -> Compared:
    differences = [Difference(kind="there_not_here", entry=entry)]
    return Compared(differences=differences if entry.status == "booked" else [])


class Outcome(msgspec.Struct, kw_only=True):
    """What two sides came to: how many bookings matched, and the differences. `more` says that not
    all differences, or not all names, are here. For the names see `Compared`."""

    matched: int = 0
    differences: list[Difference] = msgspec.field(default_factory=list)
    awaited: list[str] = msgspec.field(default_factory=list)
    ahead: list[str] = msgspec.field(default_factory=list)
    more: bool = False


def outcome(results: Iterable[tuple[str | None, Compared]], at_most: int) -> Outcome:
    """Adds up what the transfers came to, until there are more than `at_most` differences."""
    whole = Outcome()
    for _, compared in results:
        whole.matched += compared.matched
        whole.differences += compared.differences
        whole.awaited += compared.awaited
        whole.ahead += compared.ahead
        names = max(len(whole.awaited), len(whole.ahead))
        if len(whole.differences) > at_most or names > MOST_NAMES:
            whole.more = True
            break
    return whole


def match(
    entries: Sequence[Entry], bookings: Sequence[Booking]
) -> list[tuple[str | None, Compared]]:
    """Matches what is held already; for few."""
    with Matching() as matching:
        matching.add_entries(entries)
        matching.add_bookings(bookings)
        return list(matching.results())
