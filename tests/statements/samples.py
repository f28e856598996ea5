"""Small statements of every shape that the standards have, each with the figures that are right."""

from dataclasses import dataclass

from tests.statements.builders import bal, camt, mt940, ntry, stmt, tx, tx_02

NONE_BOOKED = "{} +0 -0 = {} (0) 0/0/0"
PENDING = "<Sts><Cd>PDNG</Cd></Sts>"
INFO = "<Sts><Cd>INFO</Cd></Sts>"
OWN = "<Sts><Prtry>BOOK</Prtry></Sts>"
BTCH = "<Btch><NbOfTxs>250</NbOfTxs></Btch>"


@dataclass(frozen=True)
class Sample:
    """A file, its entries as `shown`, and the totals of each statement as `summed`."""

    name: str
    text: str
    entries: tuple[str, ...]
    totals: tuple[dict[str, str], ...]


def _day(*entries: str, opening: str = "100.00", closing: str = "87.66", version: int = 8) -> str:
    parts = (bal("OPBD", opening), bal("CLBD", closing), *entries)
    return camt(stmt(*parts), version=version)


ONE = "booked debit 1234 EUR REF1 E2E1"
ONE_SUM = {"EUR": "10000 +0 -1234 = 8766 (0) 1/0/0"}
NOT_BOOKED = {"EUR": "10000 +0 -0 = 10000 (0) 0/1/0"}
OTHER = {"EUR": "10000 +0 -0 = 10000 (0) 0/0/1"}
_ONE = ntry("12.34", tx("E2E1"), ref="REF1")
_ONE_02 = ntry("12.34", tx_02("E2E1", "12.34"), ref="REF1", sts="<Sts>BOOK</Sts>")
_ONE_04 = ntry("12.34", tx("E2E1", "12.34", "DBIT"), ref="REF1", sts="<Sts>BOOK</Sts>")
_TWO = (tx("E2E1", "10.00", ref="REF1"), tx("E2E2", "2.34", ref="REF2"))
_PARTS = ("booked debit 1000 EUR REF1 E2E1 part", "booked debit 234 EUR REF2 E2E2 part")
_TWO_SUM = {"EUR": "10000 +0 -1234 = 8766 (0) 2/0/0"}

SAMPLES = [
    *(
        Sample(f"version {n}", _day(_ONE, version=n), (ONE,), (ONE_SUM,))
        for n in (7, 8, 9, 10, 11, 12, 13)
    ),
    *(
        Sample(f"version {n}: a status is a text", _day(_ONE_04, version=n), (ONE,), (ONE_SUM,))
        for n in (4, 5, 6)
    ),
    *(
        Sample(f"version {n}: no Amt of its own", _day(_ONE_02, version=n), (ONE,), (ONE_SUM,))
        for n in (2, 3)
    ),
    Sample(
        "version 2: a batch with amounts of the parts",
        _day(
            ntry("12.34", tx_02("E2E1", "10.00"), tx_02("E2E2", "2.34"), sts="<Sts>BOOK</Sts>"),
            version=2,
        ),
        ("booked debit 1000 EUR - E2E1 part", "booked debit 234 EUR - E2E2 part"),
        (_TWO_SUM,),
    ),
    Sample(
        "version 2: a batch with instructed amounts only",
        _day(ntry("12.34", tx_02("E1", "10.00", "InstdAmt"), tx_02("E2", "2.34", "InstdAmt"))),
        ("booked debit 1000 EUR - E1 part", "booked debit 234 EUR - E2 part"),
        (_TWO_SUM,),
    ),
    Sample("a batch", _day(ntry("12.34", *_TWO, ref="BATCH")), _PARTS, (_TWO_SUM,)),
    Sample(
        "a batch whose parts are in details of their own",
        _day(ntry("12.34", *(f"<NtryDtls>{part}</NtryDtls>" for part in _TWO))),
        _PARTS,
        (_TWO_SUM,),
    ),
    Sample(
        "a batch of payments and one that came back",
        _day(ntry("12.34", tx("E1", "20.00", "DBIT"), tx("E2", "7.66", "CRDT"))),
        ("booked debit 2000 EUR - E1 part", "booked credit 766 EUR - E2 part"),
        ({"EUR": "10000 +766 -2000 = 8766 (0) 2/0/0"},),
    ),
    Sample(
        "a batch without amounts of the parts stays one entry",
        _day(ntry("12.34", tx("E2E1"), tx("E2E2", "2.34"), ref="BATCH")),
        ("booked debit 1234 EUR BATCH - total 2",),
        (ONE_SUM,),
    ),
    Sample(
        "a batch with one of its transactions",
        _day(ntry("12.34", f"<NtryDtls>{BTCH}{tx('E2E1')}</NtryDtls>", ref="BATCH")),
        ("booked debit 1234 EUR BATCH - total 250",),
        (ONE_SUM,),
    ),
    Sample(
        "a batch with one of its transactions and the amount of that",
        _day(ntry("12.34", f"<NtryDtls>{BTCH}{tx('E2E1', '10.00')}</NtryDtls>", ref="BATCH")),
        ("booked debit 1000 EUR - E2E1 part", "booked debit 234 EUR BATCH - remainder"),
        (_TWO_SUM,),
    ),
    Sample(
        "a batch of which only the count is known",
        _day(ntry("12.34", BTCH, ref="BATCH")),
        ("booked debit 1234 EUR BATCH - total 250",),
        (ONE_SUM,),
    ),
    Sample(
        "a batch in another currency stays one entry",
        _day(ntry("12.34", tx("E1", "9.00", ccy="USD"), tx("E2", "3.00", ccy="USD"))),
        ("booked debit 1234 EUR - - total 2",),
        (ONE_SUM,),
    ),
    Sample(
        "a batch with charges has a remainder",
        _day(ntry("12.34", tx("E1", "10.00"), tx("E2", "2.00"), ref="BATCH")),
        (
            "booked debit 1000 EUR - E1 part",
            "booked debit 200 EUR - E2 part",
            "booked debit 34 EUR BATCH - remainder",
        ),
        ({"EUR": "10000 +0 -1234 = 8766 (0) 3/0/0"},),
    ),
    Sample(
        "one transaction in another currency: the amount is that of the account",
        _day(ntry("12.34", tx("E2E1", "14.00", ccy="USD", ref="REF1"))),
        (ONE,),
        (ONE_SUM,),
    ),
    Sample(
        "a reversed debit is a credit",
        _day(ntry("5.00", tx("E1"), way="CRDT", reversal="true"), closing="105.00"),
        ("booked credit 500 EUR - E1 reversal",),
        ({"EUR": "10000 +500 -0 = 10500 (0) 1/0/0"},),
    ),
    Sample(
        "a reversed credit is a debit",
        _day(ntry("12.34", tx("E1"), way="DBIT", reversal="1")),
        ("booked debit 1234 EUR - E1 reversal",),
        (ONE_SUM,),
    ),
    Sample(
        "a flag of reversal that is false",
        _day(ntry("12.34", tx("E2E1"), reversal="false", ref="REF1")),
        (ONE,),
        (ONE_SUM,),
    ),
    Sample(
        "a pending entry is not booked",
        _day(ntry("12.34", tx("E1"), sts=PENDING), closing="100.00"),
        ("pending debit 1234 EUR - E1",),
        (NOT_BOOKED,),
    ),
    Sample(
        "version 2: a pending entry is not booked",
        _day(ntry("12.34", sts="<Sts>PDNG</Sts>"), closing="100.00", version=2),
        ("pending debit 1234 EUR - -",),
        (NOT_BOOKED,),
    ),
    Sample(
        "information is not booked",
        _day(ntry("12.34", sts=INFO), closing="100.00"),
        ("other debit 1234 EUR - -",),
        (OTHER,),
    ),
    Sample(
        "a status of the bank's own is not booked, whatever its word",
        _day(ntry("12.34", sts=OWN), closing="100.00"),
        ("other debit 1234 EUR - -",),
        (OTHER,),
    ),
    Sample(
        "an empty statement",
        _day(closing="100.00"),
        (),
        ({"EUR": NONE_BOOKED.format(10000, 10000)},),
    ),
    Sample(
        "a closing balance that does not fit is a figure",
        _day(_ONE, closing="80.00"),
        (ONE,),
        ({"EUR": "10000 +0 -1234 = 8000 (-766) 1/0/0"},),
    ),
    Sample(
        "an overdrawn account",
        camt(stmt(bal("OPBD", "10.00"), bal("CLBD", "2.34", "DBIT"), _ONE)),
        (ONE,),
        ({"EUR": "1000 +0 -1234 = -234 (0) 1/0/0"},),
    ),
    Sample(
        "the closing balance of the day before opens",
        camt(stmt(bal("PRCD", "100.00"), bal("CLAV", "1.00"), bal("CLBD", "87.66"), _ONE)),
        (ONE,),
        (ONE_SUM,),
    ),
    Sample(
        "pages with interim balances",
        camt(
            stmt(bal("OPBD", "100.00"), bal("ITBD", "87.66"), _ONE),
            stmt(bal("ITBD", "87.66"), bal("ITBD", "90.00"), ntry("2.34", way="CRDT")),
            stmt(bal("ITBD", "90.00"), bal("CLBD", "90.00")),
        ),
        (ONE, "booked credit 234 EUR - -"),
        (
            ONE_SUM,
            {"EUR": "8766 +234 -0 = 9000 (0) 1/0/0"},
            {"EUR": NONE_BOOKED.format(9000, 9000)},
        ),
    ),
    Sample(
        "two statements and three currencies",
        camt(
            stmt(bal("OPBD", "100.00"), bal("CLBD", "87.66"), _ONE),
            stmt(
                bal("OPBD", "1000", ccy="JPY"),
                bal("CLBD", "900", ccy="JPY"),
                bal("OPBD", "1.000", ccy="KWD"),
                bal("CLBD", "1.005", ccy="KWD"),
                ntry("100", ccy="JPY"),
                ntry("0.005", way="CRDT", ccy="KWD"),
            ),
        ),
        (ONE, "booked debit 100 JPY - -", "booked credit 5 KWD - -"),
        (
            ONE_SUM,
            {"JPY": "1000 +0 -100 = 900 (0) 1/0/0", "KWD": "1000 +5 -0 = 1005 (0) 1/0/0"},
        ),
    ),
    Sample(
        "zeros beyond the minor unit are no amount",
        camt(stmt(ntry("100.00", ccy="JPY"), ntry("+12.3400", tx("E2E1", ref="REF1")))),
        ("booked debit 100 JPY - -", ONE),
        ({"JPY": "None +0 -100 = None (0) 1/0/0", "EUR": "None +0 -1234 = None (0) 1/0/0"},),
    ),
    Sample(
        "a namespace with a prefix",
        camt(stmt(bal("OPBD", "100.00"), bal("CLBD", "87.66"), _ONE), prefix="n"),
        (ONE,),
        (ONE_SUM,),
    ),
    Sample(
        "no end-to-end id",
        _day(ntry("12.34", tx("NOTPROVIDED"))),
        ("booked debit 1234 EUR - -",),
        (ONE_SUM,),
    ),
    Sample(
        "camt.054: a notification has no balances",
        camt(stmt(_ONE, tag="Ntfctn"), message=54),
        (ONE,),
        ({"EUR": "None +0 -1234 = None (0) 1/0/0"},),
    ),
    Sample(
        "camt.054: a batch of version 2",
        camt(
            stmt(ntry("12.34", tx_02("E1", "10.00"), tx_02("E2", "2.34")), tag="Ntfctn"),
            message=54,
            version=2,
        ),
        ("booked debit 1000 EUR - E1 part", "booked debit 234 EUR - E2 part"),
        ({"EUR": "None +0 -1234 = None (0) 2/0/0"},),
    ),
    Sample(
        "MT940",
        mt940(":61:2611021102D12,34NTRFE2E1//REF1", closing="C261102EUR87,66"),
        (ONE,),
        (ONE_SUM,),
    ),
    Sample(
        "MT940: RC is a debit, RD is a credit, DR a debit with a letter of the currency",
        mt940(
            ":61:2611021102RC12,34NTRFNONREF",
            ":61:2611021102RD5,NTRFNONREF",
            ":61:2611021102DR1,NTRFNONREF",
            ":61:2611021102RDR1,NTRFNONREF",
            closing="C261102EUR92,66",
        ),
        (
            "booked debit 1234 EUR - - reversal",
            "booked credit 500 EUR - - reversal",
            "booked debit 100 EUR - -",
            "booked credit 100 EUR - - reversal",
        ),
        ({"EUR": "10000 +600 -1334 = 9266 (0) 4/0/0"},),
    ),
    Sample(
        "MT940: end-to-end ids in field 86, in both ways that are in use",
        mt940(
            ":61:2611021102D10,NTRFNONREF//REF1",
            "supplementary",
            ":86:/TRTP/SEPA/EREF/E2",
            "E1/REMI/rent/November/",
            ":61:2611021102D2,34NTRFOWN//REF2",
            ":86:116?00SEPA?20EREF+E2E2?21MREF+M?32name",
            closing="C261102EUR87,66",
        ),
        ("booked debit 1000 EUR REF1 E2E1", "booked debit 234 EUR REF2 E2E2"),
        (_TWO_SUM,),
    ),
    Sample(
        "MT940: blocks of SWIFT, two statements, one with pages, an overdrawn account",
        "{1:F01BANKXXXX}{2:O940}{4:\r\n"
        + mt940(":61:2611021102D200,NTRFNONREF", closing="D261102EUR100,").replace("-\r\n", "-}")
        + "\r\n{1:F01BANKXXXX}{4:\r\n"
        + mt940(opening="C261101JPY5,", closing="C261102JPY5,").replace(":60F:", ":60M:"),
        ("booked debit 20000 EUR - -",),
        (
            {"EUR": "10000 +0 -20000 = -10000 (0) 1/0/0"},
            {"JPY": NONE_BOOKED.format(5, 5)},
        ),
    ),
]
