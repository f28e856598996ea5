#!/usr/bin/env bash
# An MT940 statement with reversals: the mark RC of field 61 is the reversal of a credit, RD that of a debit.
# Guess: a library that gives signed amounts gives RC a minus, as money left the account, so that the opening
# balance and the amounts lead to the closing balance.
# Seen: mt-940 gives a minus to D only. RC is positive, as C is, and the sum is off by twice the amount.
#   mt-940 5.1.1
#   D -1.00, C 2.00, RD 4.00, RC 8.00: the sum is 13.00, and the balance moved by -3.00
# What to do instead: take the sign from `status`: C and RD are credits, D and RC are debits; and compare the
# sum with the balances.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  mt-940==5.1.1 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 2; }
"$folder/venv/bin/python" - <<'PY'
from decimal import Decimal
from importlib.metadata import version

import mt940

lines = "".join(
    f":61:2611021102{mark}{amount},NTRFNONREF\r\n"
    for mark, amount in (("D", 1), ("C", 2), ("RD", 4), ("RC", 8))
)
text = f":20:S\r\n:25:A\r\n:28C:1\r\n:60F:C261101EUR10,\r\n{lines}:62F:C261102EUR7,\r\n-\r\n"
read = mt940.parse(text)
found = {each.data["status"]: each.data["amount"].amount for each in read}
opened, closed = (read.data[f"final_{name}_balance"].amount.amount for name in ("opening", "closing"))
print(f"mt-940 {version('mt-940')}")
shown = ", ".join(f"{mark} {amount:.2f}" for mark, amount in found.items())
print(f"{shown}: the sum is {sum(found.values()):.2f}, and the balance moved by {closed - opened:.2f}")
assert closed - opened == Decimal(-3), "the balances of the statement have changed"
assert found == {"D": -1, "C": 2, "RD": 4, "RC": 8}, "the sign of a reversed credit has changed"
PY
