#!/usr/bin/env bash
# National check digits inside an IBAN: schwifty and python-stdnum.
# Guess: asked for national check digits, a library checks them, or says for which country it does not.
# Seen: with validate_bban=True, schwifty takes a Croatian number whose two national digits are both wrong
# (each is the last digit of its part, ISO 7064 mod 11,10), and warns of nothing; the same for Hungary is a
# warning. A number of Iceland is refused by the id of its holder, which is no digit of the account.
# python-stdnum checks ES, BE, ME and NO by itself and no other country, and refuses a right number of Belgium
# whose bank its list does not name.
#   schwifty 2026.10.1, python-stdnum 2.2
#   number                       national digits  schwifty  python-stdnum
#   HR2010010061863000161        wrong            taken     taken
#   HU17117730171111101800000000 wrong            warned    taken
#   IT64Y0542811101000000123456  wrong            refused   taken
#   BE04151000000131             right            taken     refused
#   IS350159260076545510730349   right            refused   taken
# What to do instead: make an error of schwifty's warning NationalChecksumNotVerified, check HR yourself, and
# let no list of banks and no id of a person refuse a number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  schwifty==2026.10.1 python-stdnum==2.2 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 2; }
"$folder/venv/bin/python" - <<'PY'
import warnings
from importlib.metadata import version

from schwifty import IBAN
from schwifty.exceptions import NationalChecksumNotVerified, SchwiftyException
from stdnum import iban as stdnum

NUMBERS = [
    ("HR", "10010061863000161", "wrong"),
    ("HU", "117730171111101800000000", "wrong"),
    ("IT", "Y0542811101000000123456", "wrong"),
    ("BE", "151000000131", "right"),
    ("IS", "0159260076545510730349", "right"),
]


def with_check_digits(country, account):
    number = "".join(str(int(each, 36)) for each in f"{account}{country}00")
    return f"{country}{98 - int(number) % 97:02}{account}"


def by_schwifty(number):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            IBAN(number, validate_bban=True)
        except SchwiftyException:
            return "refused"
    warned = any(each.category is NationalChecksumNotVerified for each in said)
    return "warned" if warned else "taken"


print(*(f"{name} {version(name)}" for name in ("schwifty", "python-stdnum")), sep=", ")
print(f"{'number':28} {'national digits':16} {'schwifty':9} python-stdnum")
seen = {}
for country, account, digits in NUMBERS:
    number = with_check_digits(country, account)
    seen[country] = by_schwifty(number), "taken" if stdnum.is_valid(number) else "refused"
    print(f"{number:28} {digits:16} {seen[country][0]:9} {seen[country][1]}")
assert seen == {
    "HR": ("taken", "taken"),
    "HU": ("warned", "taken"),
    "IT": ("refused", "taken"),
    "BE": ("taken", "refused"),
    "IS": ("refused", "taken"),
}, "the behaviour has changed"
PY
