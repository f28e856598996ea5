"""Compares a bank's file with the transfers of the ledger, in bounded memory."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from threading import Event
from typing import BinaryIO, Literal, TypeVar, cast

from activities.statements.comparison import Booking, booking_name
from activities.statements.entry import Entry, Statement
from activities.statements.ids import end_to_end_id
from activities.statements.matching import Matching, Outcome, outcome
from activities.statements.periods import Coverage, Earlier, Period, joined
from activities.statements.read import read_statement
from ledger.aggregates.statement import StatementState
from ledger.database import Database
from ledger.read.bookings import RecordedBooking, recorded_bookings

T = TypeVar("T")


@dataclass(frozen=True)
class ComparedFile:
    """The statements of a file, and what its entries came to."""

    statements: list[Statement]
    outcome: Outcome


async def compare_file(
    file: BinaryIO,
    database: Database,
    adapter: str,
    known_as: Callable[[str], str],
    zone: tzinfo,
    coverage: Callable[[list[Statement]], Coverage],
    at_most: int,
) -> ComparedFile:
    """Compares the entries of `file` with the transfers of `adapter`, whose provider knows the
    transfer of a key as `known_as` says; `coverage` says which of them the statements should have.
    Differences beyond `at_most` are left out.

    The file is read in a thread. Raises StatementRefused, DatabaseUnavailable.
    """
    with Matching() as matching:
        statements = await _in_thread(partial(_load, file, zone, matching))
        covered = coverage(statements)
        async with aclosing(recorded_bookings(database, adapter)) as found:
            async for stretch in found:
                matching.add_bookings(_booking(each, covered, known_as) for each in stretch)
        whole = await _in_thread(lambda stop: outcome(_until(stop, matching.results()), at_most))
    return ComparedFile(statements, whole)


async def _in_thread(work: Callable[[Event], T]) -> T:
    """The answer of `work`, which looks at the event: a thread can't be cancelled, and what it uses
    is closed only after it has ended."""
    stop = Event()
    working = asyncio.create_task(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)
        raise


class _Stopped(Exception):
    """Nobody wants the answer any more."""


def _until(stop: Event, found: Iterable[T]) -> Iterator[T]:
    for each in found:
        if stop.is_set():
            raise _Stopped
        yield each


def _load(file: BinaryIO, zone: tzinfo, matching: Matching, stop: Event) -> list[Statement]:
    statements: list[Statement] = []

    def entries() -> Iterator[Entry]:
        for each in _until(stop, read_statement(file, zone)):
            if isinstance(each, Entry):
                yield each
            else:
                statements.append(each)

    matching.add_entries(entries())
    return statements


def _booking(
    recorded: RecordedBooking, coverage: Coverage, known_as: Callable[[str], str]
) -> Booking:
    transfer = recorded.transfer_id
    name = booking_name(recorded.direction, transfer)
    return Booking(
        transfer=transfer,
        reference=recorded.reference,
        end_to_end_id=end_to_end_id(known_as(recorded.key)),
        direction=recorded.direction,
        amount_minor=recorded.amount_minor,
        currency=recorded.currency,
        standing=recorded.standing,
        due=coverage.due(name, recorded.currency, recorded.at),
    )


def earlier_by_currency(
    recorded: Sequence[StatementState],
    missing: Sequence[tuple[str, str, str]],
    periods: Mapping[str, Sequence[Period]],
) -> dict[str, Earlier]:
    """What was reconciled before a file of these periods, by currency."""
    found: dict[str, Earlier] = {}
    currencies = {each.currency for state in recorded for each in state.sums}
    for currency in currencies:
        mine = [(state, _spans(state, currency)) for state in recorded]
        covering = [(state, spans) for state, spans in mine if spans]
        if not covering:
            continue
        covered = periods.get(currency)
        awaiting = _awaiting(covering, covered[0][0] if covered else None)
        awaited = {name for state in awaiting for name in state.awaited}
        found[currency] = Earlier(
            periods=joined(span for _, spans in covering for span in spans),
            awaited=frozenset(awaited),
            ahead={
                name: max(ends for _, ends in spans)
                for state, spans in covering
                for name in state.ahead
            },
            missing=frozenset(
                booking_name(cast(Literal["credit", "debit"], direction), transfer)
                for direction, transfer, of in missing
                if of == currency
            ),
        )
    return found


def _awaiting(
    covering: Sequence[tuple[StatementState, Sequence[Period]]], begins: datetime | None
) -> list[StatementState]:
    """The statements that say what a file awaits which begins then; None: it has no time."""
    ended = [
        (max(ends for _, ends in spans), state)
        for state, spans in covering
        # A file that covers its time again awaits what it did then: it may have come late.
        if begins is None or max(ends for _, ends in spans) <= begins
    ]
    if not ended:
        return []
    # That of the latest time has what those before it still awaited; of two, the one recorded
    # later. What came after it, of an earlier time, awaits more.
    latest = max(range(len(ended)), key=lambda number: (ended[number][0], number))
    return [state for _, state in ended[latest:]]


def _spans(state: StatementState, currency: str) -> list[tuple[datetime, datetime]]:
    return [
        (datetime.fromisoformat(each.begins_at), datetime.fromisoformat(each.ends_at))
        for each in state.sums
        if each.currency == currency and each.complete and each.begins_at and each.ends_at
    ]
