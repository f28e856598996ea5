#!/usr/bin/env bash
# Decimals of a currency: Babel (Unicode CLDR) and ISO 4217.
# Guess: the number of decimals of a currency is a fact on which libraries agree.
# Seen: CLDR gives the decimals that people use, ISO 4217 those that payments are made in; Babel has
# fewer for 15 currencies and never more. An amount in minor units by one, read by the other, is wrong by
# a factor of 100 for 14 of them, and of 1000 for IQD (0 decimals and 3).
#   babel 2.19.0, iso4217 1.16.20260101
#   Babel has fewer (Babel<ISO 4217):
#     AFN 0<2, ALL 0<2, COP 0<2, HUF 0<2, IDR 0<2
#     IQD 0<3, IRR 0<2, KPW 0<2, LAK 0<2, LBP 0<2
#     MGA 0<2, MMK 0<2, SOS 0<2, SYP 0<2, YER 0<2
#   Babel has more: none
# What to do instead: take the decimals of minor units from ISO 4217 (Currency(code).exponent), or from
# your payment provider where it states its own. Use Babel only to show an amount, and give its
# format_currency() decimal_quantization=False, or it rounds to its own decimals.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  babel==2.19.0 iso4217==1.16.20260101 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 2; }
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

from babel.numbers import get_currency_precision
from iso4217 import Currency

print(*(f"{name} {version(name)}" for name in ("babel", "iso4217")), sep=", ")
fewer, more = {}, {}
for currency in sorted(Currency, key=lambda currency: currency.code):
    babel, iso = get_currency_precision(currency.code), currency.exponent
    if iso is not None and babel != iso:
        (fewer if babel < iso else more)[currency.code] = (babel, iso)
shown = [f"{code} {babel}<{iso}" for code, (babel, iso) in fewer.items()]
print("Babel has fewer (Babel<ISO 4217):")
for first in range(0, len(shown), 5):
    print(" ", ", ".join(shown[first : first + 5]))
print("Babel has more:", more or "none")
assert fewer == {
    "AFN": (0, 2), "ALL": (0, 2), "COP": (0, 2), "HUF": (0, 2), "IDR": (0, 2),
    "IQD": (0, 3), "IRR": (0, 2), "KPW": (0, 2), "LAK": (0, 2), "LBP": (0, 2),
    "MGA": (0, 2), "MMK": (0, 2), "SOS": (0, 2), "SYP": (0, 2), "YER": (0, 2),
}, "the behaviour has changed"
assert not more, "the behaviour has changed"
PY
