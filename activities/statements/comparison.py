"""Compares the bookings of one transfer with the entries that name it: a pure function."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from activities.statements.entry import Direction, Entry

# Whether the money moved by our record: it did, nobody knows yet, or it did not.
Standing = Literal["moved", "in_doubt", "unmoved"]
# Whether the statement should have the booking: it should, or the next one may have it instead
# (awaited), or an earlier one had it (settled), or it is of a later time (ahead) or of none.
Due = Literal["due", "awaited", "settled", "ahead", "outside"]
Kind = Literal["there_not_here", "here_not_there", "different", "twice", "arrived"]


class Booking(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One booking that our record lets expect at the bank: a reversed transfer has two.

    `transfer` is the name of what it belongs to; bookings of one transfer share it.
    """

    transfer: str
    reference: str | None
    end_to_end_id: str | None
    direction: Direction
    amount_minor: int
    currency: str
    standing: Standing = "moved"
    due: Due = "due"

    @property
    def name(self) -> str:
        """The name of the booking."""
        return booking_name(self.direction, self.transfer)


def booking_name(direction: Direction, transfer: str) -> str:
    """The name of a booking: its direction, and what it belongs to."""
    return f"{direction} {transfer}"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A difference between the bank and our record.

    there_not_here  the bank booked what no transfer lets expect
    here_not_there  the money moved by our record, and the statement has no booking of it
    different       one of `fields`: amount, currency, direction, or state (of a transfer that did
                    not move the money by our record)
    twice           the bank booked again what it had booked
    arrived         the bank booked what by our record would never move: the payment was undone
    """

    kind: Kind
    transfer: str | None = None
    booking: Booking | None = None
    entry: Entry | None = None
    fields: tuple[str, ...] = ()


class Compared(msgspec.Struct, kw_only=True):
    """What a transfer came to: how many bookings matched, the differences, and the names of the
    bookings that the next statement has to have (`awaited`), or has not, since they are booked
    already (`ahead`)."""

    matched: int = 0
    differences: list[Difference] = msgspec.field(default_factory=list)
    awaited: list[str] = msgspec.field(default_factory=list)
    ahead: list[str] = msgspec.field(default_factory=list)


def compare(bookings: Sequence[Booking], entries: Sequence[Entry]) -> Compared:
    """Compares the bookings of one transfer, at most one in each direction, with the entries that
    name the transfer, in the order of the file."""
    found = Compared()
    unmet: list[Booking] = []
    left: list[Entry] = []
    booked = [entry for entry in entries if entry.status == "booked"]
    by_direction = {booking.direction: booking for booking in bookings}
    directions: tuple[Direction, ...] = ("debit", "credit")
    for direction in directions:
        booking = by_direction.get(direction)
        mine = [entry for entry in booked if entry.direction == direction]
        if booking is None or booking.standing != "moved":
            left += mine
        elif booking.due == "settled":
            found.differences += [_twice(booking, entry) for entry in mine]
        elif mine:
            _take(found, booking, mine)
        else:
            unmet.append(booking)
    for booking in unmet:
        _without_entry(found, booking, left, entries)
    _left(found, by_direction, left)
    return found


def _take(found: Compared, booking: Booking, entries: list[Entry]) -> None:
    """The entry that is the booking, best the one that is equal to it; the others are it again."""
    if booking.due == "ahead":
        found.ahead.append(booking.name)
    taken = min(entries, key=lambda entry: len(_fields(booking, entry)))
    if fields := _fields(booking, taken):
        found.differences.append(_different(booking, taken, fields))
    else:
        found.matched += 1
    found.differences += [_twice(booking, entry) for entry in entries if entry is not taken]


def _without_entry(
    found: Compared, booking: Booking, left: list[Entry], entries: Sequence[Entry]
) -> None:
    if left:
        entry = left.pop(0)
        found.differences.append(_different(booking, entry, _fields(booking, entry)))
    elif booking.due == "awaited" or (
        booking.due == "due" and any(entry.status == "pending" for entry in entries)
    ):
        found.awaited.append(booking.name)
    elif booking.due == "due":
        found.differences.append(
            Difference(kind="here_not_there", transfer=booking.transfer, booking=booking)
        )


def _left(found: Compared, by_direction: dict[Direction, Booking], left: Sequence[Entry]) -> None:
    name = next(iter(by_direction.values())).transfer if by_direction else None
    seen = set[Direction]()
    for entry in left:
        booking = by_direction.get(entry.direction)
        if booking is None or booking.standing == "moved":
            difference = Difference(kind="there_not_here", transfer=name, entry=entry)
        elif entry.direction in seen:
            difference = _twice(booking, entry)
        elif _is_payment_undone(booking) and not _fields(booking, entry):
            difference = _arrived(booking, entry)
            # It is recorded now, and the next statement does not have it again.
            found.ahead.append(booking.name)
        else:
            difference = _different(booking, entry, ("state", *_fields(booking, entry)))
        seen.add(entry.direction)
        found.differences.append(difference)


def _is_payment_undone(booking: Booking) -> bool:
    return booking.standing == "unmoved" and booking.direction == "debit"


def _fields(booking: Booking, entry: Entry) -> tuple[str, ...]:
    ours = (booking.amount_minor, booking.currency, booking.direction)
    theirs = (entry.amount_minor, entry.currency, entry.direction)
    pairs = zip(("amount", "currency", "direction"), ours, theirs, strict=True)
    return tuple(name for name, one, other in pairs if one != other)


def _different(booking: Booking, entry: Entry, fields: tuple[str, ...]) -> Difference:
    return Difference(
        kind="different", transfer=booking.transfer, booking=booking, entry=entry, fields=fields
    )


def _arrived(booking: Booking, entry: Entry) -> Difference:
    return Difference(kind="arrived", transfer=booking.transfer, booking=booking, entry=entry)


def _twice(booking: Booking, entry: Entry) -> Difference:
    return Difference(kind="twice", transfer=booking.transfer, booking=booking, entry=entry)
