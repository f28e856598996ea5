import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from activities.adapters.iban import LENGTHS, NATIONAL, STRUCTURES, check_iban
from activities.adapters.payment import account_kind

# The examples of SWIFT's IBAN registry.
REGISTRY = """
    AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741
    AT611904300234573201 AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034
    BG80BNBG96611020345678 BH67BMAG00001299123456 BI4210000100010000332045181
    BR9700360305000010009795493P1 BY13NBRB3600900000002Z00AB00 CH9300762011623852957
    CR05015202001026284066 CY17002001280000001200527600 CZ6508000000192000145399
    DE89370400440532013000 DJ2100010000000154000100186 DK5000400440116243
    DO28BAGR00000001212453611324 EE382200221020145685 EG380019000500000000263180002
    ES9121000418450200051332 FI2112345600000785 FK88SC123456789012 FO6264600001631634
    FR1420041010050500013M02606 GB29NWBK60161331926819 GE29NB0000000101904917
    GI75NWBK000000007099453 GL8964710001000206 GR1601101250000000012300695
    GT82TRAJ01020000001210029690 HN88CABF00000000000250005469 HR1210010051863000160
    HU42117730161111101800000000 IE29AIBK93115212345678 IL620108000000099999999
    IQ98NBIQ850123456789012 IS140159260076545510730339 IT60X0542811101000000123456
    JO94CBJO0010000000000131000302 KW81CBKU0000000000001234560101 KZ86125KZT5004100100
    LB62099900000001001901229114 LC55HEMM000100010012001200023015 LI21088100002324013AA
    LT121000011101001000 LU280019400644750000 LV80BANK0000435195001
    LY83002048000020100120361 MC5811222000010123456789030 MD24AG000225100013104168
    ME25505000012345678951 MK07250120000058984 MN121234123456789123
    MR1300020001010000123456753 MT84MALT011000012345MTLCAST001S
    MU17BOMM0101101030300200000MUR NI45BAPR00000013000003558124 NL91ABNA0417164300
    NO9386011117947 OM810180000001299123456 PK36SCBL0000001123456702
    PL61109010140000071219812874 PS92PALS000000000400123456702 PT50000201231234567890154
    QA58DOHB00001234567890ABCDEFG RO49AAAA1B31007593840000 RS35260005601001611379
    RU0304452522540817810538091310419 SA0380000000608010167519
    SC18SSCB11010000000000001497USD SD2129010501234001 SE4550000000058398257466
    SI56263300012039086 SK3112000000198742637541 SM86U0322509800000000270100
    SO211000001001000100141 ST23000100010051845310146 SV62CENR00000000000000700025
    TL380080012345678910157 TN5910006035183598478831 TR330006100519786457841326
    UA213223130000026007233566001 VA59001123000012345678 VG96VPVG0000012345678901
    XK051212012345678906 YE15CBYE0001018861234567891234
    """
EXAMPLES = REGISTRY.split()


def with_check_digits(country: str, account: str) -> str:
    number = "".join(str(int(each, 36)) for each in f"{account}{country}00")
    return f"{country}{98 - int(number) % 97:02}{account}"


def neighbours(account: str) -> Iterator[str]:
    """The account numbers that differ in one digit."""
    for at, old in enumerate(account):
        if old.isdigit():
            yield f"{account[:at]}{(int(old) + 1) % 10}{account[at + 1 :]}"


def is_refused(text: str, why: str) -> bool:
    with pytest.raises(ValueError, match=why) as refusal:
        check_iban(text)
    # Never the number.
    return re.search("[A-Z]{2}[0-9]{2}|[0-9]{5}", str(refusal.value)) is None


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_of_the_registry_passes_as_it_came_and_no_other_length_or_digit(
    example: str,
) -> None:
    assert check_iban(example) == example
    assert account_kind(example) == "iban"
    assert is_refused(example[:-1], "has [0-9]+ characters")
    assert is_refused(example + "0", "has [0-9]+ characters")
    for wrong in neighbours(example[4:]):
        assert is_refused(example[:4] + wrong, r"\(the third and fourth character\)")


def test_every_country_of_the_table_has_its_example() -> None:
    assert {example[:2]: len(example) for example in EXAMPLES} == LENGTHS
    assert set(STRUCTURES) == set(LENGTHS)


@pytest.mark.parametrize("country", NATIONAL)
def test_a_wrong_national_check_digit_is_refused_behind_right_check_digits(country: str) -> None:
    (account,) = [example[4:] for example in EXAMPLES if example[:2] == country]
    refused = 0
    for wrong in neighbours(account):
        with suppress(ValueError):
            check_iban(with_check_digits(country, wrong))
            continue
        assert is_refused(with_check_digits(country, wrong), "wrong national check digits")
        refused += 1
    # Of some countries, only a part of the number has a digit of its own.
    assert refused >= {"AL": 8, "PL": 8, "EE": 14, "CZ": 16, "SK": 16}.get(
        country, len(account) - 4
    )


# Each of them is taken or refused wrongly by one of two libraries (docs/decisions/045).
@pytest.mark.parametrize(
    ("country", "account", "right"),
    [
        ("BE", "000100000128", True),  # of a bank that a list does not name
        ("IS", "0159260076545510730349", True),  # the id of its holder has no check digit
        ("HR", "10010051863000161", False),
        ("HR", "10010061863000160", False),
        ("HU", "117730171111101800000000", False),
        ("AL", "212110080000000235698741", False),
        ("FR", "20041010050500013M02607", False),
        ("IT", "Y0542811101000000123456", False),
        ("FI", "12345600000786", False),
        ("PT", "000201231234567890155", False),
        ("SI", "263300012039087", False),
        ("ES", "21000418460200051332", False),
        ("FR", "00000000000000000000097", True),
        ("FR", "00000000000000000000000", False),
        ("NO", "00050012343", True),
    ],
)
def test_what_libraries_take_or_refuse_wrongly(country: str, account: str, right: bool) -> None:
    iban = with_check_digits(country, account)
    if right:
        assert check_iban(iban) == iban
    else:
        assert is_refused(iban, "national")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "country code"),
        ("2850590940090418135201", "country code"),
        ("ES91-2100-0418-4502-0005-1332", "country code"),
        ("ES91\t21000418450200051332", "country code"),
        ("ES9\N{ARABIC-INDIC DIGIT ONE}21000418450200051332", "country code"),
        ("GP1420041010050500013M02606", "no such country"),
        ("ZZ9121000418450200051332", "no such country"),
        ("ES912100041845020005133A", "where an IBAN"),
        ("IT60 0054 2811 1010 0000 0123 456", "where an IBAN"),
    ],
)
def test_what_is_no_iban_is_refused_without_its_number(text: str, why: str) -> None:
    assert is_refused(text, why)


def test_the_normal_form_has_capitals_and_no_spaces() -> None:
    assert check_iban(" gb29 nwbk 6016 1331 9268 19") == "GB29NWBK60161331926819"


@given(st.sampled_from(sorted(STRUCTURES)), st.data())
def test_check_digits_have_one_form(country: str, data: st.DataObject) -> None:
    account = data.draw(st.from_regex(STRUCTURES[country], fullmatch=True))
    iban = with_check_digits(country, account)
    others = {f"{country}{digits:02}{account}" for digits in range(100)} - {iban}
    for other in others:
        assert is_refused(other, r"\(the third and fourth character\)")


@given(st.text("0123456789ABCDEFabcdef ", max_size=40))
def test_no_text_is_anything_but_an_iban_or_refused(text: str) -> None:
    try:
        iban = check_iban(text)
    except ValueError:
        return
    assume(iban)
    assert check_iban(iban) == iban
