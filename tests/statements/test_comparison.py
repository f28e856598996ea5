"""What the bank booked against what is on record: every difference is found, and nothing else."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from activities.statements.comparison import Booking, Compared, Due, Standing, compare
from activities.statements.entry import Direction, Entry, Status
from activities.statements.matching import match


def entry(
    direction: Direction = "debit",
    amount_minor: int = 100,
    currency: str = "EUR",
    status: Status = "booked",
    number: int = 0,
    reference: str | None = "R1",
    end_to_end_id: str | None = None,
) -> Entry:
    return Entry(
        statement=0,
        number=number,
        status=status,
        direction=direction,
        amount_minor=amount_minor,
        currency=currency,
        reference=reference,
        end_to_end_id=end_to_end_id,
    )


def booking(
    direction: Direction = "debit",
    standing: Standing = "moved",
    due: Due = "due",
    amount_minor: int = 100,
    transfer: str = "T1",
    reference: str | None = "R1",
    end_to_end_id: str | None = None,
) -> Booking:
    return Booking(
        transfer=transfer,
        reference=reference,
        end_to_end_id=end_to_end_id,
        direction=direction,
        amount_minor=amount_minor,
        currency="EUR",
        standing=standing,
        due=due,
    )


BACK = booking("credit")
PENDING = entry(status="pending")


@pytest.mark.parametrize(
    ("bookings", "entries", "expected"),
    [
        ([booking()], [entry()], "1"),
        ([booking(), BACK], [entry(), entry("credit")], "2"),
        ([booking()], [], "0 here_not_there"),
        ([booking(), BACK], [entry()], "1 here_not_there"),
        ([booking(due="outside")], [], "0"),
        ([booking(due="outside")], [entry()], "1"),
        ([booking(due="awaited")], [], "0 awaited"),
        ([booking(due="awaited")], [entry()], "1"),
        ([booking(due="ahead")], [], "0"),
        ([booking(due="ahead")], [entry()], "1 ahead"),
        ([booking(due="settled")], [], "0"),
        ([booking(due="settled")], [entry()], "0 twice"),
        ([booking()], [PENDING], "0 awaited"),
        ([booking()], [PENDING, entry()], "1"),
        ([booking()], [entry(), entry()], "1 twice"),
        ([booking()], [entry(amount_minor=99), entry()], "1 twice"),
        ([booking()], [entry(amount_minor=99)], "0 different:amount"),
        ([booking()], [entry(currency="USD")], "0 different:currency"),
        ([booking()], [entry("credit")], "0 different:direction"),
        ([booking()], [entry("credit", 5)], "0 different:amount+direction"),
        ([booking()], [entry(), entry("credit")], "1 there_not_here"),
        ([booking(standing="in_doubt")], [], "0"),
        ([booking(standing="in_doubt")], [entry()], "0 different:state"),
        ([booking(standing="unmoved")], [PENDING], "0"),
        ([booking(standing="unmoved")], [entry(), entry()], "0 arrived twice ahead"),
        ([booking(standing="unmoved")], [entry("credit")], "0 there_not_here"),
        ([booking("credit", standing="unmoved")], [entry("credit")], "0 different:state"),
    ],
)
def test_a_transfer_and_its_entries_come_to(
    bookings: list[Booking], entries: list[Entry], expected: str
) -> None:
    assert shown(compare(bookings, entries)) == expected


def shown(found: Compared) -> str:
    words = [str(found.matched)]
    for each in found.differences:
        words.append(f"{each.kind}:{'+'.join(each.fields)}" if each.fields else each.kind)
    return " ".join([*words, *(["awaited"] * len(found.awaited)), *(["ahead"] * len(found.ahead))])


NAMES = st.sampled_from([None, "A", "B", "C", "D"])
AMOUNTS = st.sampled_from([100, 200])
WAYS: tuple[Direction, ...] = ("debit", "credit")


@st.composite
def both_sides(draw: st.DrawFn) -> tuple[list[Entry], list[Booking]]:
    """Entries and the bookings of transfers, whose references and ids meet by chance."""
    transfers = draw(st.lists(st.tuples(NAMES, NAMES), max_size=4))
    bookings = [
        booking(
            direction,
            draw(st.sampled_from(["moved", "in_doubt", "unmoved"])),
            draw(st.sampled_from(["due", "awaited", "settled", "ahead", "outside"])),
            draw(AMOUNTS),
            f"T{number}",
            reference,
            end_to_end_id,
        )
        for number, (reference, end_to_end_id) in enumerate(transfers)
        for direction in WAYS[: draw(st.integers(1, 2))]
    ]
    entries = [
        entry(
            draw(st.sampled_from(WAYS)),
            draw(AMOUNTS),
            "EUR",
            draw(st.sampled_from(["booked", "booked", "pending", "other"])),
            number,
            draw(NAMES),
            draw(NAMES),
        )
        for number in range(draw(st.integers(0, 8)))
    ]
    return entries, draw(st.permutations(bookings))


def owner(each: Entry, bookings: Sequence[Booking]) -> str | None:
    """The transfer that an entry names, looked for among all."""
    for field in ("reference", "end_to_end_id"):
        named = [
            one.transfer
            for one in bookings
            if getattr(one, field) is not None and getattr(one, field) == getattr(each, field)
        ]
        if named:
            return min(named)
    return None


@settings(max_examples=300)
@given(both_sides())
def test_matching_is_a_search_among_all_and_loses_or_doubles_nothing(
    sides: tuple[list[Entry], list[Booking]],
) -> None:
    entries, bookings = sides
    found = match(entries, bookings)

    counted = [each for each in entries if each.status != "other"]
    for name in {one.transfer for one in bookings}:
        [compared] = [compared for transfer, compared in found if transfer == name]
        mine = [each for each in counted if owner(each, bookings) == name]
        assert compared == compare([one for one in bookings if one.transfer == name], mine)

    booked = Counter(each.number for each in entries if each.status == "booked")
    told = [difference for _, compared in found for difference in compared.differences]
    in_differences = Counter(each.entry.number for each in told if each.entry is not None)
    matched = sum(compared.matched for _, compared in found)
    assert in_differences <= booked
    assert in_differences.total() + matched == booked.total()
    unexplained = {each.entry.number for each in told if each.transfer is None and each.entry}
    assert unexplained == {
        each.number for each in counted if each.status == "booked" and owner(each, bookings) is None
    }


@settings(max_examples=300)
@given(both_sides())
def test_every_booking_that_is_due_is_matched_or_in_a_difference(
    sides: tuple[list[Entry], list[Booking]],
) -> None:
    entries, bookings = sides
    due = [replace(one, due="due", standing="moved") for one in bookings]
    settled = [each for each in entries if each.status != "pending"]
    for name, compared in match(settled, due):
        told = Counter(each.kind for each in compared.differences)
        mine = [one for one in due if one.transfer == name]
        assert compared.matched + told["different"] + told["here_not_there"] == len(mine)
        assert not compared.awaited
