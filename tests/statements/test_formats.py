"""The files of banks say the right figures, and what is no statement is refused with its line."""

import io
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.statements.amounts import minor_units
from activities.statements.camt_entry import MAX_TRANSACTIONS
from activities.statements.camt_writer import decimal_text, written
from activities.statements.entry import Entry, Statement, StatementRefused, Totals
from activities.statements.ids import MAX_END_TO_END_ID, end_to_end_id
from activities.statements.read import read_statement
from ledger.aggregates.amounts import RECORDED
from tests.statements.builders import bal, camt, mt940, ntry, shown, stmt, summed, tx
from tests.statements.samples import SAMPLES, Sample


def read(data: str | bytes) -> tuple[list[Entry], list[Statement]]:
    raw = data.encode() if isinstance(data, str) else data
    found = list(read_statement(io.BytesIO(raw)))
    entries = [each for each in found if isinstance(each, Entry)]
    return entries, [each for each in found if isinstance(each, Statement)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_statement_is_read_to_the_right_figures(sample: Sample) -> None:
    entries, statements = read(sample.text)
    assert tuple(shown(entry) for entry in entries) == sample.entries
    assert tuple(summed(statement) for statement in statements) == sample.totals
    assert {(each.id, each.account) for each in statements} == {("S1", "ACC-1")}


def test_what_a_schema_lets_repeat_and_nobody_reads_may_be_there_twice() -> None:
    charges = '<Chrgs><Amt Ccy="EUR">0.10</Amt></Chrgs>' * 2
    lines = "<CdtLine><Incl>false</Incl></CdtLine>" * 2
    repeated = ntry("1.00").replace("<BookgDt>", f"{charges}<BookgDt>")
    balance = bal("CLBD", "99.00").replace("<Amt", f"{lines}<Amt")
    entries, [statement] = read(camt(stmt(bal("OPBD", "100.00"), balance, repeated)))
    assert [entry.amount_minor for entry in entries] == [100]
    assert statement.totals["EUR"].missing_minor == 0


ONE = stmt(ntry("1.00"))
ENTITY = '<!DOCTYPE d [<!ENTITY a "x">]><Document xmlns="x">&a;</Document>'
OUTSIDE = '<!DOCTYPE d [<!ENTITY a SYSTEM "other.xml">]><Document>&a;</Document>'
LINE = ":61:2611021102D12,34NTRFNONREF"


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        ("", 1, "neither camt"),
        ("name;amount\n", 1, "neither camt"),
        (ENTITY, 1, "DOCTYPE"),
        (OUTSIDE, 1, "DOCTYPE"),
        ("<Document/>", 1, "the root is no Document"),
        (camt(ONE, version=14), 1, "001.02 to 001.13"),
        (camt(ONE, version=1), 1, "001.02 to 001.13"),
        (camt(ONE).replace("camt.053", "camt.052"), 1, "the root is no Document"),
        (camt(), 1, "has no statement"),
        (camt("\n", stmt("\n", ntry("1.00")))[:-30], 3, "not well-formed"),
        (camt("\n", stmt("\n", ntry("1.001"))), 3, "more than the 2 decimals of EUR"),
        (camt(stmt(ntry("1.5", ccy="JPY"))), 1, "more than the 0 decimals of JPY"),
        (camt(stmt(ntry("1.00", ref="R" * 141))), 1, "141 characters"),
        (mt940(LINE.replace("NONREF", "A\x01B")), 5, "control character"),
        (camt(stmt(ntry("1", ccy="QQQ"))), 1, "no minor unit"),
        (camt(stmt(ntry("1", ccy="XAU"))), 1, "no minor unit"),
        (camt(stmt(ntry("-1.00"))), 1, "an amount is"),
        (camt(stmt(ntry("1e3"))), 1, "an amount is"),
        (camt(stmt(ntry("12345678901234567.89"))), 1, "an amount is"),
        (camt(stmt(ntry("1.00", way="OUT"))), 1, "neither CRDT nor DBIT"),
        (camt(stmt(ntry("1.00", reversal="yes"))), 1, "RvslInd"),
        (camt(stmt(ntry("1.00", sts=""))), 1, "Sts is missing"),
        (camt(stmt(ntry("1.00", ref="A</AcctSvcrRef><AcctSvcrRef>B"))), 1, "there twice"),
        (camt("\n", stmt("\n<Id>S2</Id>", "\n\n", ntry("1.00"))), 2, "Id is there twice"),
        (camt(stmt(ntry("<b>1.00</b>"))), 1, "where a text belongs"),
        (camt(stmt(ntry("1.00", ref="x" * 1_300_000))), 1, "longer than"),
        (camt(stmt(f"<!--{'x' * 1_300_000}-->")), 1, "longer than"),
        (camt(stmt("<X>" * 101 + "</X>" * 101)), 1, "nested more than"),
        (camt(stmt(bal("CLBD", "1.00"), bal("CLBD", "2.00"))), 1, "2 balances CLBD"),
        (camt(stmt(period="2026-13-02")), 1, "ISO 8601"),
        (camt(stmt(ntry("1.00", "<Btch><NbOfTxs>many</NbOfTxs></Btch>"))), 1, "NbOfTxs"),
        (mt940(LINE).replace(":62F:", ":64:"), 7, "without its balances"),
        (mt940(LINE.replace("D12,34", "X12,34")), 5, "no statement line"),
        (mt940(LINE.replace("D12,34", "D12,345")), 5, "more than the 2 decimals"),
        (mt940(LINE.replace("2611021102", "2611320000")), 5, "a date is no day"),
        (mt940(closing="C261102USD1,"), 5, "of two currencies"),
        (mt940(opening="C261101EUR"), 4, "no balance"),
        (mt940()[:5] + "S1\n\nfree text\n:20:", 4, "without its balances"),
        (mt940(":86:" + "x" * 5000), 5, "longer than any"),
    ],
    ids=lambda value: str(value)[-24:] if isinstance(value, str) else None,
)
def test_what_is_no_statement_is_refused_with_its_line(data: str, line: int, reason: str) -> None:
    with pytest.raises(StatementRefused, match=reason) as refused:
        read(data)
    assert refused.value.line == line


def test_a_batch_larger_than_is_held_is_refused() -> None:
    many = tx("E", "0.01") * (MAX_TRANSACTIONS + 1)
    with pytest.raises(StatementRefused, match="more than 100,000 transactions"):
        read(camt(stmt(ntry("1.00", many))))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_an_encoding_is_read_as_the_file_names_it(encoding: str) -> None:
    text = camt(stmt(ntry("1.00", tx("E-ñ"))))
    named = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>{text}'
    [entry], _ = read(named.encode(encoding))
    assert entry.end_to_end_id == "E-ñ"


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        (camt(stmt()), "2026-11-02T00:00+00:00", "2026-11-03T00:00+00:00"),
        (
            camt(stmt(bal("PRCD", "1.00", on="2026-11-01"), bal("CLBD", "1.00"), period="")),
            "2026-11-02T00:00+00:00",
            "2026-11-03T00:00+00:00",
        ),
        (
            camt(stmt(bal("OPBD", "1.00"), bal("CLBD", "1.00"), period="")),
            "2026-11-02T00:00+00:00",
            "2026-11-03T00:00+00:00",
        ),
        (
            camt(
                stmt(
                    bal("OPBD", "1.00"),
                    bal("CLBD", "0.00", on="2026-11-04"),
                    ntry("1.00"),
                    period="",
                )
            ),
            "2026-11-02T00:00+00:00",
            "2026-11-05T00:00+00:00",
        ),
        (mt940(), "2026-11-02T00:00+00:00", "2026-11-03T00:00+00:00"),
        (camt(stmt(period="")), None, None),
    ],
    ids=["named", "after the day before", "of one day", "of its first day", "MT940", "not known"],
)
def test_a_statement_has_the_period_that_it_names_or_that_of_its_balances(
    text: str, begins: str | None, ends: str | None
) -> None:
    _, [statement] = read(text)
    period = (statement.begins_at, statement.ends_at)
    assert period == (
        begins and datetime.fromisoformat(begins),
        ends and datetime.fromisoformat(ends),
    )


@pytest.mark.parametrize(
    ("value", "day", "booked"),
    [("270102", "1231", date(2026, 12, 31)), ("261231", "0102", date(2027, 1, 2))],
)
def test_a_day_of_booking_of_mt940_is_in_the_nearest_year(
    value: str, day: str, booked: date
) -> None:
    [entry], _ = read(mt940(f":61:{value}{day}D1,NTRFNONREF"))
    assert entry.booked_on == booked


@pytest.mark.parametrize(
    ("known_as", "is_kept"),
    [
        ("A1B2C3D4E5F6G7H", True),
        ("payment/rent-2026", True),
        ("payment/rent_2026", False),
        ("payment/" + "long" * 9, False),
        ("/rent", False),
        ("rent/", False),
        ("a//b", False),
        ("", False),
    ],
)
def test_an_end_to_end_id_is_the_name_that_the_provider_has_where_it_fits(
    known_as: str, is_kept: bool
) -> None:
    found = end_to_end_id(known_as)
    assert (found == known_as) is is_kept
    assert len(found) <= MAX_END_TO_END_ID
    assert end_to_end_id(found) == found


CURRENCIES = st.sampled_from(sorted(RECORDED))


@given(minor=st.integers(0, 10**14), currency=CURRENCIES)
def test_an_amount_that_was_written_is_read_as_the_same(minor: int, currency: str) -> None:
    assert minor_units(decimal_text(minor, currency), currency) == minor


IDS = st.none() | st.text("abcXYZ059-/&<>", min_size=1, max_size=35)


@st.composite
def files(draw: st.DrawFn) -> list[tuple[Statement, list[list[Entry]]]]:
    """Statements with their entries, each of which has one part or is a batch."""
    found = []
    number = 0
    for ordinal in range(draw(st.integers(1, 3))):
        entries, totals = [], dict[str, Totals]()
        for _ in range(draw(st.integers(0, 4))):
            size = draw(st.integers(1, 3))
            shared: dict[str, Any] = {
                "statement": ordinal,
                "number": number,
                "status": draw(st.sampled_from(["booked", "pending", "other"])),
                "currency": draw(CURRENCIES),
                "reversal": draw(st.booleans()),
                "booked_on": draw(st.none() | st.dates(date(2000, 1, 1), date(2068, 1, 1))),
                "batch": "part" if size > 1 else None,
            }
            parts = [
                Entry(
                    **shared,
                    part=part,
                    direction=draw(st.sampled_from(["credit", "debit"])),
                    amount_minor=draw(st.integers(0, 10**12)),
                    reference=draw(IDS),
                    end_to_end_id=draw(IDS),
                )
                for part in range(size)
            ]
            number += 1
            entries.append(parts)
            for part in parts:
                totals.setdefault(part.currency, Totals()).count(part)
        period = draw(st.booleans())
        for each in totals.values() if period else ():
            each.opening_minor = draw(st.none() | st.integers(-(10**12), 10**12))
            each.closing_minor = draw(st.none() | st.integers(-(10**12), 10**12))
        statement = Statement(
            statement=ordinal,
            id=f"S{ordinal}",
            account="ACC<1>",
            complete=True,
            begins_at=datetime(2026, 11, 2, tzinfo=UTC) if period else None,
            ends_at=datetime(2026, 11, 3, tzinfo=UTC) if period else None,
            totals=totals,
        )
        found.append((statement, entries))
    return found


@given(files())
def test_a_file_that_was_written_is_read_as_the_same(
    file: list[tuple[Statement, list[list[Entry]]]],
) -> None:
    at = datetime(2026, 11, 3, tzinfo=UTC)
    text = "".join(written("M1", at, file))
    entries, statements = read(text)
    assert statements == [each for each, _ in file]
    wanted = chain.from_iterable(chain.from_iterable(entries) for _, entries in file)
    assert entries == list(wanted)


@given(
    total=st.integers(0, 10**6),
    parts=st.lists(
        st.tuples(st.integers(0, 10**5), st.sampled_from(["CRDT", "DBIT"])), min_size=2, max_size=6
    ),
    way=st.sampled_from(["CRDT", "DBIT"]),
)
def test_the_parts_of_an_entry_and_their_remainder_sum_up_to_it(
    total: int, parts: list[tuple[int, str]], way: str
) -> None:
    details = [tx("E", decimal_text(minor, "EUR"), each) for minor, each in parts]
    entries, [statement] = read(camt(stmt(ntry(decimal_text(total, "EUR"), *details, way=way))))
    signed = sum(entry.signed_minor for entry in entries)
    assert signed == (total if way == "CRDT" else -total)
    totals = statement.totals["EUR"]
    assert totals.credits_minor - totals.debits_minor == signed
