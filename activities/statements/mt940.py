"""Reads MT940 as a stream: what is held is one field. By SWIFT's Category 9, Customer Statement
Message: `RC` is the reversal of a credit, so a debit, and `RD` the reversal of a debit."""

import re
from collections.abc import Iterator
from datetime import date, datetime, tzinfo
from typing import BinaryIO

from msgspec.structs import replace

from activities.statements.amounts import minor_units
from activities.statements.camt_entry import NOT_PROVIDED, days
from activities.statements.entry import (
    Direction,
    Entry,
    Statement,
    StatementRefused,
    Totals,
    checked_reference,
)

_MAX_LINE_BYTES = 4096
_MAX_FIELD = 10_000
_TAG = re.compile(r":([0-9]{2}[A-Z]?):(.*)", re.DOTALL)
_BALANCE = re.compile(r"([CD])([0-9]{6})([A-Z]{3})([0-9][0-9,]*)")
# The value date, the day of booking, the mark, the last letter of the currency, the amount, the
# type, the reference of the account's owner, the reference of the bank.
_LINE = re.compile(
    r"(?P<value>[0-9]{6})(?P<day>[0-9]{4})?(?P<mark>R?[CD])[A-Z]?(?P<amount>[0-9]+,[0-9]*)"
    r"[NFS][A-Z0-9]{3}(?P<own>.*?)(?://(?P<bank>.*))?"
)
# The blocks of SWIFT around a message, and its end.
_BETWEEN = re.compile(r"-(\}|$)|\{[1-5]:")
_NO_REFERENCE = ("", "NONREF", NOT_PROVIDED)
# No standard says how field 86 is structured. Two ways are in use: `/EREF/…/REMI/…` in the Benelux,
# `?20EREF+…?21…` in Germany, where `?20` and so on begin pieces of at most 27 characters.
_PIECE = re.compile(r"\?[0-9]{2}")
_END_TO_END = re.compile(
    r"/EREF/(?P<slashed>.*?)(?:/(?:[A-Z]{3,4})/|/?$)|EREF\+(?P<plus>.*?)(?:[A-Z]{4}\+|$)"
)


def read_mt940(file: BinaryIO, zone: tzinfo) -> Iterator[Entry | Statement]:
    """Yields the entries of each statement of the file, then the statement. Days are
    of `zone`. Raises StatementRefused."""
    reading = _Reading(zone)
    for line, tag, text in _fields(file):
        try:
            yield from reading.field(tag, text)
        except ValueError as error:
            raise StatementRefused(line, f"field {tag or 'end'}: {error}") from None


def _fields(file: BinaryIO) -> Iterator[tuple[int, str, str]]:
    """The fields with the line that each begins on; an empty tag at the end of the file."""
    tag, held, began, line = "", "", 0, 0
    while raw := file.readline(_MAX_LINE_BYTES):
        line += 1
        if len(raw) == _MAX_LINE_BYTES or len(held) > _MAX_FIELD:
            raise StatementRefused(line, "a line or a field is longer than any of a statement")
        text = raw.decode("latin-1").rstrip("\r\n")
        match = _TAG.fullmatch(text.rpartition("{4:")[2])
        if match or _BETWEEN.match(text) or (not text.strip() and not tag):
            if tag:
                yield began, tag, held
            tag, held, began = (match[1], match[2], line) if match else ("", "", line)
        elif tag:
            held += "\n" + text
        else:
            raise StatementRefused(line, "no field of MT940 begins here")
    if tag:
        yield began, tag, held
    yield line, "", ""


class _Reading:
    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._statements = self._entries = 0
        self._id: str | None = None
        self._account, self._currency = "", ""
        self._opened: date | None = None
        self._closed: date | None = None
        self._totals = Totals()
        self._entry: Entry | None = None

    def field(self, tag: str, text: str) -> Iterator[Entry | Statement]:
        """What the field completes. Raises ValueError."""
        if self._entry is not None:
            # A statement line is complete with its description, or without one.
            yield self._described(text if tag == "86" else "")
        if tag in ("20", ""):
            if self._id is not None:
                yield self._statement()
            if not tag and not self._statements:
                raise ValueError("the file has no statement")
            self._begin(text if tag else None)
        elif self._id is None:
            raise ValueError("a statement begins with field 20")
        else:
            self._in_statement(tag, text)

    def _in_statement(self, tag: str, text: str) -> None:
        if tag == "25":
            self._account = text
        elif tag in ("60F", "60M"):
            self._opened, self._currency, self._totals.opening_minor = _balance(text)
        elif tag == "61":
            self._entry = self._booked(text)
        elif tag in ("62F", "62M"):
            self._closed, currency, self._totals.closing_minor = _balance(text)
            if currency != self._currency:
                raise ValueError("the balances are of two currencies")

    def _begin(self, text: str | None) -> None:
        self._id = text
        self._account, self._currency = "", ""
        self._opened = self._closed = None
        self._totals = Totals()

    def _booked(self, text: str) -> Entry:
        # Below it is supplementary.
        match = _LINE.fullmatch(text.partition("\n")[0].strip())
        if match is None:
            raise ValueError("no statement line: date, mark, amount, type and references")
        if self._opened is None or self._closed is not None:
            raise ValueError("a statement line is not between the balances")
        mark, own = match["mark"], match["own"].strip()
        direction: Direction = "credit" if mark in ("C", "RD") else "debit"
        return Entry(
            statement=self._statements,
            number=self._entries,
            status="booked",
            direction=direction,
            amount_minor=minor_units(match["amount"], self._currency),
            currency=self._currency,
            reversal=mark.startswith("R"),
            booked_on=_booking_day(match["value"], match["day"]),
            reference=checked_reference((match["bank"] or "").strip()) or None,
            end_to_end_id=None if own in _NO_REFERENCE else checked_reference(own),
        )

    def _described(self, description: str) -> Entry:
        assert self._entry is not None
        entry, self._entry = self._entry, None
        if found := _end_to_end_id(description):
            entry = replace(entry, end_to_end_id=checked_reference(found))
        self._entries += 1
        self._totals.count(entry)
        return entry

    def _statement(self) -> Statement:
        if self._opened is None or self._closed is None or self._id is None:
            raise ValueError("a statement is without its balances (fields 60 and 62)")
        begins_at, ends_at = days(self._opened, self._closed, self._zone)
        self._statements += 1
        return Statement(
            statement=self._statements - 1,
            id=self._id,
            account=self._account,
            complete=True,
            begins_at=begins_at,
            ends_at=ends_at,
            totals={self._currency: self._totals},
        )


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%y%m%d").date()
    except ValueError:
        raise ValueError("a date is no day") from None


def _booking_day(value: str, day: str | None) -> date:
    """The day of booking, which has no year: the one that is nearest to the value date."""
    valued = _day(value)
    if day is None:
        return valued
    near = []
    for year in (valued.year - 1, valued.year, valued.year + 1):
        try:
            near.append(date(year, int(day[:2]), int(day[2:])))
        except ValueError:
            # The 29th of February of another year.
            continue
    if not near:
        raise ValueError("the day of booking is no day")
    return min(near, key=lambda each: abs(each - valued))


def _balance(text: str) -> tuple[date, str, int]:
    match = _BALANCE.fullmatch(text.strip())
    if match is None:
        raise ValueError("no balance: C or D, date, currency and amount")
    mark, day, currency, amount = match.groups()
    minor = minor_units(amount, currency)
    return _day(day), currency, minor if mark == "C" else -minor


def _end_to_end_id(description: str) -> str | None:
    match = _END_TO_END.search(_PIECE.sub("", description.replace("\n", "")))
    found = (match["slashed"] or match["plus"] or "").strip() if match else ""
    return None if found in _NO_REFERENCE else found
