#!/usr/bin/env bash
# Decimals of a currency: Babel (Unicode CLDR) and ISO 4217.
# Guess: the number of decimals of a currency is a fact on which libraries agree.
# Seen: CLDR gives the decimals that people use, ISO 4217 those that payments are made in; Babel has
# fewer for 15 currencies and never more. An amount in minor units by one is wrong by 100 in the other.
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
fewer, more = [], []
for currency in Currency:
    if currency.exponent is None:
        continue
    babel = get_currency_precision(currency.code)
    if babel < currency.exponent:
        fewer.append(f"{currency.code} {babel}<{currency.exponent}")
    elif babel > currency.exponent:
        more.append(f"{currency.code} {babel}>{currency.exponent}")
print("Babel has fewer:", ", ".join(fewer))
print("Babel has more:", ", ".join(more) or "none")
assert len(fewer) == 15 and "COP 0<2" in fewer and not more, "the behaviour has changed"
PY
