"""Checks an IBAN (ISO 13616): country, length and structure, the check digits, and the national
check digits inside the account number where the country has them (docs/decisions/040)."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import cycle

# The account number of each country of SWIFT's IBAN registry (as of October 2026): so many digits
# (n), letters (a), or both (c). A country that joins takes an entry. Territories that use the code
# of another country (Jersey that of GB, Martinique that of FR) have none of their own.
_TABLE = (
    "AD:8n12c AE:19n AL:8n16c AT:16n AZ:4a20c BA:16n BE:12n BG:4a6n8c BH:4a14c BI:23n "
    "BR:8c15n2c BY:4c4n16c CH:5n12c CR:18n CY:8n16c CZ:20n DE:18n DJ:23n DK:14n DO:4c20n EE:16n "
    "EG:25n ES:20n FI:14n FK:2a12n FO:14n FR:10n11c2n GB:4a14n GE:2a16n GI:4a15c GL:14n "
    "GR:7n16c GT:24c HN:4a20n HR:17n HU:24n IE:4a14n IL:19n IQ:4a15n IS:22n IT:1a10n12c "
    "JO:4a4n18c KW:4a22c KZ:3n13c LB:4n20c LC:4a24c LI:5n12c LT:16n LU:3n13c LV:4a13c LY:21n "
    "MC:10n11c2n MD:20c ME:18n MK:3n10c2n MN:16n MR:23n MT:4a5n18c MU:4a19n3a NI:4a20n NL:4a10n "
    "NO:11n OM:3n16c PK:4a16c PL:24n PS:4a21c PT:21n QA:4a21c RO:4a16c RS:18n RU:14n15c "
    "SA:2n18c SC:4a20n3a SD:14n SE:20n SI:15n SK:20n SM:1a10n12c SO:19n ST:21n SV:4a20n TL:19n "
    "TN:20n TR:6n16c UA:6n19c VA:18n VG:4a16n XK:16n YE:4a4n18c "
)
_KINDS = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}
STRUCTURES: Mapping[str, str] = {
    country: re.sub("([0-9]+)([nac])", lambda part: f"{_KINDS[part[2]]}{{{part[1]}}}", parts)
    for country, _, parts in (entry.partition(":") for entry in _TABLE.split())
}
LENGTHS: Mapping[str, int] = {
    country: 4 + sum(map(int, re.findall("[{]([0-9]+)[}]", structure)))
    for country, structure in STRUCTURES.items()
}


def check_iban(text: str) -> str:
    """Checks an IBAN and returns its normal form: capitals, without spaces.

    Raises ValueError with the reason, never with the number.
    """
    iban = text.replace(" ", "").upper()
    if not (text.isascii() and re.fullmatch("[A-Z]{2}[0-9]{2}[0-9A-Z]+", iban)):
        raise ValueError("an IBAN is a country code, two digits, then the account: A-Z and 0-9")
    country, account = iban[:2], iban[4:]
    if country not in STRUCTURES:
        raise ValueError("the IBAN registry has no such country code")
    if len(iban) != LENGTHS[country]:
        raise ValueError(f"an IBAN of this country has {LENGTHS[country]} characters")
    if not re.fullmatch(STRUCTURES[country], account):
        raise ValueError("letters and digits are not where an IBAN of this country has them")
    if not _mod_97(f"{account}{iban[:4]}"):
        raise ValueError("wrong check digits (the third and fourth character)")
    if country in NATIONAL and not NATIONAL[country](account):
        raise ValueError("wrong national check digits (inside the account number)")
    return iban


def _number(text: str) -> int:
    """Letters are the numbers from 10."""
    return int("".join(str(int(character, 36)) for character in text))


def _weighed(digits: Iterable[str], *weights: int) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, cycle(weights), strict=False))


def _albania(account: str) -> bool:
    return _weighed(account[:8], 9, 7, 3, 1) % 10 == 0


def _belgium(account: str) -> bool:
    return (int(account[:10]) % 97 or 97) == int(account[10:])


def _croatia(account: str) -> bool:
    return _mod_11_10(account[:7]) and _mod_11_10(account[7:])


def _mod_11_10(digits: str) -> bool:
    product = 10
    for digit in digits[:-1]:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return (product + int(digits[-1])) % 10 == 1


def _czechia(account: str) -> bool:
    # Of bank, prefix and number, the latter two.
    number = _weighed(account[10:], 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)
    return _weighed(account[4:10], 10, 5, 8, 4, 2, 1) % 11 == 0 and number % 11 == 0


def _estonia(account: str) -> bool:
    return _weighed(reversed(account[2:]), 1, 7, 3) % 10 == 0


def _finland(account: str) -> bool:
    """Luhn."""
    doubled = (int(digit) * (2 - at % 2) for at, digit in enumerate(account))
    return sum(sum(divmod(value, 10)) for value in doubled) % 10 == 0


_FRENCH = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "12345678912345678923456789")


def _france(account: str) -> bool:
    return _mod_97(account.translate(_FRENCH), 97)


def _hungary(account: str) -> bool:
    bank, number = _weighed(account[:8], 9, 7, 3, 1), _weighed(account[8:], 9, 7, 3, 1)
    return bank % 10 == 0 and number % 10 == 0


# The values of 0 to 9, or A to Z, at odd places.
_ODD = (
    1,
    0,
    5,
    7,
    9,
    13,
    15,
    17,
    19,
    21,
    2,
    4,
    18,
    20,
    11,
    3,
    6,
    8,
    12,
    14,
    16,
    10,
    22,
    25,
    24,
    23,
)


def _italy(account: str) -> bool:
    values = [int(each) if each.isdigit() else ord(each) - ord("A") for each in account[1:]]
    total = sum(_ODD[value] if at % 2 == 0 else value for at, value in enumerate(values))
    return ord(account[0]) - ord("A") == total % 26


def _norway(account: str) -> bool:
    # Of the kind of account 00, also the last five digits alone may be right.
    checked = [account, account[6:]] if account[4:6] == "00" else [account]
    weights = (1, 2, 3, 4, 5, 6, 7, 2, 3, 4, 5)
    return any(_weighed(reversed(digits), *weights) % 11 == 0 for digits in checked)


def _poland(account: str) -> bool:
    return _weighed(account[:8], 3, 9, 7, 1) % 10 == 0


def _spain(account: str) -> bool:
    bank = _spanish_digit(_weighed(account[:8], 4, 8, 5, 10, 9, 7, 3, 6))
    number = _spanish_digit(_weighed(account[10:], 1, 2, 4, 8, 5, 10, 9, 7, 3, 6))
    return account[8:10] == f"{bank}{number}"


def _spanish_digit(total: int) -> int:
    return (0, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1)[total % 11]


def _mod_97(account: str, less: int = 98) -> bool:
    # Never a remainder alone: that 97, 98 and 02 have in common with 00, 01 and 99.
    return int(account[-2:]) == less - _number(f"{account[:-2]}00") % 97


def _tunisia(account: str) -> bool:
    return _mod_97(account, 97)


NATIONAL: Mapping[str, Callable[[str], bool]] = {
    "AL": _albania,
    "BE": _belgium,
    "CZ": _czechia,
    "EE": _estonia,
    "ES": _spain,
    "FI": _finland,
    "FR": _france,
    "HR": _croatia,
    "HU": _hungary,
    "IT": _italy,
    "MC": _france,
    "NO": _norway,
    "PL": _poland,
    "SK": _czechia,
    "SM": _italy,
    **dict.fromkeys(("BA", "ME", "MK", "PT", "RS", "SI", "TL"), _mod_97),
    **dict.fromkeys(("MR", "TN"), _tunisia),
}
