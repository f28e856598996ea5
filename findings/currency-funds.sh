#!/usr/bin/env bash
# Codes of funds in the ISO 4217 list (list one), as the package iso4217 carries it.
# Guess: whoever wants currencies that people pay in leaves out what the list marks with IsFund, and what
# has no minor unit (metals, XDR, XTS, XXX).
# Seen: one unit of account is not marked and has a minor unit: UYW, Uruguay's Unidad Previsional, beside
# UYI, the other unit of the same country, which is marked. And the class Currency of the package has no
# word about funds at all: only the raw XML has.
#   iso4217 1.16.20260101, list of 2026-01-01
#   marked as funds: BOV CHE CHW CLF COU MXV USN UYI
#   UYW Unidad Previsional: decimals 4, marked False
# What to do instead: read the mark from raw_xml, and name UYW beside it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  iso4217==1.16.20260101 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 2; }
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

from iso4217 import Currency, __published__, raw_xml

print(f"iso4217 {version('iso4217')}, list of {__published__}")
entries = [entry for entry in raw_xml.iter("CcyNtry") if entry.findtext("Ccy")]
marked = {entry.findtext("Ccy") for entry in entries if entry.find("CcyNm[@IsFund]") is not None}
print("marked as funds:", *sorted(marked))
name = next(entry.findtext("CcyNm") for entry in entries if entry.findtext("Ccy") == "UYW")
print(f"UYW {name}: decimals {Currency('UYW').exponent}, marked {'UYW' in marked}")
assert marked == {"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI"}, "the marks have changed"
assert Currency("UYW").exponent == 4 and "UYW" not in marked, "UYW has changed"
assert not any("fund" in word.lower() for word in dir(Currency("CLF"))), "the class tells funds now"
PY
